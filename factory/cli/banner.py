"""What `factory up` says once all is up: addresses, key, and a command to paste."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

FLOWER_USER = "factory"
FLOWER_PASSWORD_FILE = "flower_password"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class Flower:
    """Where Flower is and how to log in."""

    url: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Banner:
    """How to reach a running installation; None for what this command does not know."""

    api_url: str
    api_key: str
    model: str
    """For the command to paste."""
    metrics_url: str | None = None
    flower: Flower | None = None
    simulated: tuple[str, ...] = ()
    loopback_webhooks: bool = False
    simulator_url: str | None = None
    """Where scripts for the simulated providers are put."""
    gateway_metrics_url: str | None = None
    admin_email: str | None = None
    admin_invitation: str | None = None
    """Of the first administrator, at the start that made one; then never again."""

    @property
    def docs_url(self) -> str:
        """The interactive reference."""
        return f"{self.api_url}/docs"

    def lines(self) -> list[str]:
        """For people. No line is wrapped or coloured, so that the command can be pasted."""
        rows = [("API", self.api_url), ("docs", self.docs_url)]
        if self.metrics_url:
            gateway = f"  {self.gateway_metrics_url}" if self.gateway_metrics_url else ""
            rows.append(("metrics", self.metrics_url + gateway))
        if self.flower:
            login = f"(user {self.flower.user}, password {self.flower.password})"
            rows.append(("Flower", f"{self.flower.url}  {login}"))
        if self.simulator_url:
            rows.append(("simulator", f"{self.simulator_url}  (docs/simulator.md)"))
        rows.append(("API key", self.api_key))
        if self.admin_invitation:
            rows.append(
                ("admin", f"{self.admin_email}, who sets a password once, with the invitation")
            )
            rows.append(("", f"{self.admin_invitation}  (docs/how-to/users.md)"))
        if self.loopback_webhooks:
            rows.append(("webhooks", "may go to this machine (WEBHOOK_ALLOW_LOOPBACK)"))
        label = [*self._simulation_label(), ""] if self.simulated else []
        return [*label, *(f"{name:<11}{value}" for name, value in rows), "", *self._command()]

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "docs_url": self.docs_url}

    def _simulation_label(self) -> list[str]:
        return [
            f"*** SIMULATED providers: not a model *** ({', '.join(self.simulated)})",
            "    Set a provider's API key to call the real one.",
        ]

    def _command(self) -> list[str]:
        body = json.dumps({"model": self.model, "input": "Why is the sky blue?"})
        return [
            "Submit a job and wait for its result:",
            "",
            f"curl -s {self.api_url}/api/jobs \\",
            f"  -H 'Authorization: Bearer {self.api_key}' \\",
            "  -H 'Content-Type: application/json' -H 'Prefer: wait=30' \\",
            f"  -d '{body}'",
        ]
