"""The output of `docker compose config`, checked against rules that compose itself does not know."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from deploy.validate.tools import Tools
from factory.cli.init_env import names_of, new_secrets
from factory.config.template import template

FILE = "docker-compose.yml"
OWN_SERVERS = "deploy/compose/own-servers.yml"
PROFILES = ("--profile", "monitoring", "--profile", "backup")
PUBLISHED = ("nginx",)
NETWORK = "agent-factory-network"
OWN = "agent-factory:"
"""The beginning of our image's name; it is built, not pulled."""
BACKUPS = "/var/backups/agent-factory"
FOREIGN = ("/etc/letsencrypt", "/var/www/certbot", BACKUPS)
"""Mounts that come from the machine, not from the checkout."""

Document = Mapping[str, Any]


def compose(tools: Tools, env_file: Path, *arguments: str, files: Sequence[str] = (FILE,)) -> str:
    """What compose prints, with nothing of this process's environment but PATH and HOME."""
    kept = [f"{name}={os.environ[name]}" for name in ("PATH", "HOME") if name in os.environ]
    chosen = [word for file in files for word in ("--file", str(tools.root / file))]
    options = ["--env-file", str(env_file), *PROFILES, *chosen]
    return tools.run(["env", "-i", *kept, tools.python("docker-compose"), *options, *arguments])


def rendered(tools: Tools, env: str, *, files: Sequence[str] = (FILE,)) -> Document:
    """The whole document with every variable put in, for an env file with this text."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "env")
        file.write_text(env)
        text = compose(tools, file, "config", "--format", "json", files=files)
        document: Document = json.loads(text)
        return document


def variables(service: Document) -> dict[str, str]:
    """What its programs find in their environment; what is null there is not set."""
    given = service["environment"].items()
    return {name: value.replace("$$", "$") for name, value in given if value is not None}


def filled_template(**values: str) -> str:
    """The template as an operator leaves it who has no key of a provider and no Slack."""
    domain = names_of("api.factory.test")
    nothing = dict.fromkeys(
        ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GOOGLE_API_KEY", "SLACK_WEBHOOK_URL"), ""
    )
    given = {**new_secrets(), **domain, **nothing, "BACKUP_DIR": BACKUPS, **values}
    return template(given)


def faults(document: Document, root: Path) -> Iterator[str]:
    """Where the composition breaks a rule of ours."""
    services = document["services"]
    for name, service in services.items():
        yield from (f"{name}: {fault}" for fault in _service_faults(name, service, root))
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            if healthy and not services[other].get("healthcheck", {}).get("test"):
                yield f"{name}: waits for the health of {other}, which has no health check"
    for key, network in document.get("networks", {}).items():
        if network.get("name") != NETWORK:
            yield f"network {key}: is not named {NETWORK}"
        yield from _address_faults(key, network, services)


def _address_faults(key: str, network: Document, services: Document) -> Iterator[str]:
    """Docker gives away a fixed address whose container does not run, unless it may choose elsewhere only."""
    ranges = [ip_network(one.get("ip_range", one["subnet"])) for one in network["ipam"]["config"]]
    for name, service in services.items():
        fixed = (service["networks"].get(key) or {}).get("ipv4_address")
        if fixed and any(ip_address(fixed) in one for one in ranges):
            yield f"{name}: its address {fixed} may be given to another container"


def _service_faults(name: str, service: Document, root: Path) -> Iterator[str]:
    if service.get("ports") and name not in PUBLISHED:
        yield "publishes a port: only nginx may"
    if reason := _image_fault(service["image"]):
        yield reason
    if not service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory"):
        yield "has no memory limit"
    if list(service.get("networks", {})) != [NETWORK]:
        yield f"is not on {NETWORK} alone"
    for volume in service.get("volumes", []):
        source = volume.get("source", "")
        own = volume["type"] == "bind" and not source.startswith(FOREIGN) and source != "/"
        if own and not Path(source).exists():
            yield f"mounts {Path(source).relative_to(root)}, which is not there"


def _image_fault(image: str) -> str | None:
    name, _, tag = image.rpartition(":")
    if not name or "/" in tag:
        return "its image has no tag"
    pinned = any(letter.isdigit() for letter in tag) or image.startswith(OWN)
    return None if pinned else "its image is not pinned"
