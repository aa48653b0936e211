// custom.mjs NODE_MODULES: reads a JSON list of custom resources and checks each by the schema of its operator.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const MODELS = {
  "keda.sh/v1alpha1": "@kubernetes-models/keda",
  "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator",
  "external-secrets.io/v1": "@kubernetes-models/external-secrets",
};
const modules = process.argv[2];

async function faultOf({ apiVersion, kind, ...rest }) {
  const name = `${kind} ${rest.metadata.name}`;
  const models = MODELS[apiVersion];
  if (!models) return `${name}: there is no schema of ${apiVersion}`;
  try {
    const file = resolve(modules, models, apiVersion, `${kind}.js`);
    const { [kind]: Model } = await import(pathToFileURL(file));
    new Model(rest).validate();
    return "";
  } catch (error) {
    return `${name}: ${error.message}`;
  }
}

const faults = await Promise.all(JSON.parse(readFileSync(0, "utf8")).map(faultOf));
const found = faults.filter(Boolean);
if (found.length) {
  console.error(found.join("\n"));
  process.exit(1);
}
