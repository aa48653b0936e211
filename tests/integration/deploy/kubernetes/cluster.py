"""Questions to rendered manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.validate.manifests import Manifest

PLATFORM = "agent-factory"
UNITS = {"": 1, "m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


@dataclass(frozen=True, slots=True)
class Pod:
    """The pods of one workload."""

    owner: Manifest
    template: Manifest

    @property
    def name(self) -> str:
        return str(self.owner["metadata"]["name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def spec(self) -> Manifest:
        return dict(self.template["spec"])

    @property
    def container(self) -> Manifest:
        """Its only one."""
        [container] = self.spec["containers"]
        return dict(container)

    @property
    def of_platform(self) -> bool:
        return self.labels["app.kubernetes.io/name"] == PLATFORM

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def command(self) -> Sequence[str]:
        return [*self.container.get("command", ()), *self.container.get("args", ())]

    def port(self, name_or_number: str | int) -> int:
        """The number of one of its ports; raises StopIteration if it has no such port."""
        ports = self.container.get("ports", ())
        return next(p["containerPort"] for p in ports if name_or_number in p.values())


class Cluster:
    """What one folder renders to."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self.manifests = manifests

    def all(self, kind: str) -> list[Manifest]:
        return [one for one in self.manifests if one["kind"] == kind]

    def one(self, kind: str, name: str) -> Manifest:
        [found] = [one for one in self.all(kind) if one["metadata"]["name"] == name]
        return found

    def pods(self) -> list[Pod]:
        return list(self._pods())

    def pod(self, name: str) -> Pod:
        [found] = [pod for pod in self._pods() if pod.name == name]
        return found

    def _pods(self) -> Iterator[Pod]:
        for one in self.manifests:
            if one["kind"] in ("Deployment", "StatefulSet", "Job"):
                yield Pod(one, one["spec"]["template"])
            elif one["kind"] == "CronJob":
                yield Pod(one, one["spec"]["jobTemplate"]["spec"]["template"])

    def config(self) -> Mapping[str, str]:
        return dict(self.one("ConfigMap", "agent-factory-config")["data"])

    def generated(self, name: str) -> Manifest:
        """The ConfigMap whose name has a hash of its content behind it."""
        [found] = [
            one
            for one in self.all("ConfigMap")
            if re.fullmatch(rf"{name}(-[a-z0-9]{{10}})?", one["metadata"]["name"])
        ]
        return found


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector matches."""
    wanted = selector.get("matchLabels", {})
    expressions = selector.get("matchExpressions", ())
    assert all(one["operator"] == "In" for one in expressions)
    return wanted.items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in expressions
    )


def quantity(text: str) -> float:
    """`1200m` → 1.2, `2Gi` → 2,147,483,648."""
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * UNITS[unit]
