"""The whole platform of one installation, planned and ready to start: what `up` and `demo` share."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass

from factory.cli.banner import FLOWER_USER, Banner, Flower
from factory.cli.exits import TimedOut
from factory.cli.gateway import Gateway
from factory.cli.installation import Installation, running_installation
from factory.cli.ports import Ports
from factory.cli.programs import (
    Addresses,
    Environments,
    Layout,
    plan_programs,
    stop_time_s,
)
from factory.cli.providers import Access, example_model, simulated_environment
from factory.cli.surroundings import settings_overlay
from factory.embedded.home import Home, InstallationState
from factory.embedded.program import Program
from factory.errors import NotFound, Unavailable

API_PORT = 8000
METRICS_PORT = 9090
GATEWAY_METRICS_PORT = 9091
FLOWER_PORT = 5555
SIMULATOR_PORT = 8090
LOCAL_LLM_PORT = 8091
LOCAL_MODEL = "local/gemma3-270m"
LOOPBACK = "127.0.0.1"
SUPERVISOR = "factory-supervisor"
"""The User-Agent of the readiness check; the access log leaves it out."""
LISTENS_S = 0.2


@dataclass(frozen=True, slots=True)
class FirstPorts:
    """Where the search for free ports begins; `api_exactly` allows no other for the gateway."""

    api: int = API_PORT
    metrics: int = METRICS_PORT
    flower: int = FLOWER_PORT
    simulator: int = SIMULATOR_PORT
    local_llm: int = LOCAL_LLM_PORT
    gateway_metrics: int = GATEWAY_METRICS_PORT
    api_exactly: bool = False


@dataclass(frozen=True, slots=True)
class Platform:
    """An installation whose programs are planned; nothing of them runs yet."""

    installation: Installation
    addresses: Addresses
    layout: Layout
    simulated: tuple[Access, ...]
    programs: list[Program]
    loopback_webhooks: bool
    example_model: str
    """The example model: one that can be called."""

    def banner(self) -> Banner:
        """What the user is shown: addresses, key and commands."""
        flower = Flower(self.addresses.flower_url, FLOWER_USER, self.installation.flower_password)
        return Banner(
            self.addresses.api_url,
            self.installation.api_key,
            self.example_model,
            self.addresses.metrics_url,
            flower if self.layout.flower else None,
            tuple(access.provider for access in self.simulated),
            loopback_webhooks=self.loopback_webhooks,
            simulator_url=self.simulator_url,
            gateway_metrics_url=self.addresses.gateway_metrics_url,
        )

    @property
    def simulator_url(self) -> str | None:
        """None where no provider is simulated."""
        return self.addresses.simulator_url if self.simulated else None

    def publish(self) -> None:
        """Tells other commands that this installation serves."""
        installation = self.installation
        installation.home.publish(
            InstallationState(
                database_url=installation.settings.database_url,
                redis_url=installation.settings.redis_url,
                api_url=self.addresses.api_url,
                api_key_path=str(installation.api_key_path),
                owner_pid=os.getpid(),
                metrics_url=self.addresses.metrics_url,
                flower_url=self.addresses.flower_url if self.layout.flower else None,
                simulated=tuple(access.provider for access in self.simulated),
                loopback_webhooks=self.loopback_webhooks,
                simulator_url=self.simulator_url,
                gateway_metrics_url=self.addresses.gateway_metrics_url,
            )
        )


@contextmanager
def prepared_platform(
    home: Home,
    layout: Layout,
    simulated: tuple[Access, ...],
    host: str,
    first: FirstPorts,
    environ: Mapping[str, str],
) -> Iterator[Platform]:
    """Servers up, schema migrated, ports taken, programs planned. What `environ` says of settings, as
    `platform_environment` gives it, goes to every program.
    """
    with (
        running_installation(home, environ) as installation,
        closing(Ports(LOOPBACK)) as private,
        closing(Ports(host)) as public,
    ):
        addresses = _take_addresses(public, private, host, first, home.ports())
        home.keep_ports(addresses.ports())
        providers = simulated_environment(simulated, addresses.simulator_url)
        if layout.local_llm:
            providers["LOCAL_LLM_BASE_URL"] = addresses.local_llm_url
        environments = _environments(installation, addresses, providers, environ)
        settings = installation.settings
        with closing(Gateway(addresses.api_url, installation.api_key, agent=SUPERVISOR)) as gateway:
            programs = plan_programs(
                layout,
                addresses,
                environments,
                home.directory,
                stop_s=stop_time_s(settings.call_timeout_s, settings.drain_s),
                listening=_listens,
                serving=_serving(gateway, installation.earlier_workers),
            )
            loopback = environments.platform.get("WEBHOOK_ALLOW_LOOPBACK") == "true"
            model = LOCAL_MODEL if layout.local_llm else example_model(environ)
            yield Platform(installation, addresses, layout, simulated, programs, loopback, model)


def _take_addresses(
    public: Ports, loopback: Ports, host: str, first: FirstPorts, kept: Mapping[str, int]
) -> Addresses:
    """Takes the ports of the last start if they are free, so that copied addresses stay valid."""
    api = first.api
    return Addresses(
        host=host,
        api_port=public.take(api) if first.api_exactly else public.take_from(api, kept.get("api")),
        metrics_port=loopback.take_from(first.metrics, kept.get("metrics")),
        flower_port=loopback.take_from(first.flower, kept.get("flower")),
        simulator_port=loopback.take_from(first.simulator, kept.get("simulator")),
        local_llm_port=loopback.take_from(first.local_llm, kept.get("local_llm")),
        gateway_metrics_port=loopback.take_from(first.gateway_metrics, kept.get("gateway_metrics")),
    )


def _environments(
    installation: Installation,
    addresses: Addresses,
    providers: Mapping[str, str],
    environ: Mapping[str, str],
) -> Environments:
    settings = installation.settings
    defaults = {"API_BASE_URL": addresses.api_url, "LOG_FORMAT": "text"}
    if installation.embedded:
        defaults["WEBHOOK_ALLOW_LOOPBACK"] = "true"
    return Environments(
        platform={
            **settings_overlay({**defaults, **environ}),
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": settings.secret_key,
        },
        providers=providers,
        flower={"FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{installation.flower_password}"},
    )


def _listens(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), LISTENS_S).close()
    except OSError:
        return False
    return True


def _serving(gateway: Gateway, earlier_workers: frozenset[str]) -> Callable[[], bool]:
    """Whether the gateway answers and sees a live worker that has started since."""

    def serving() -> bool:
        try:
            workers = gateway.get("/api/workers")["data"]
        except (Unavailable, TimedOut, NotFound):
            return False
        if not any(one["live"] and one["id"] not in earlier_workers for one in workers):
            return False
        gateway.close()  # while a connection is kept alive, gunicorn takes 2 s longer to stop
        return True

    return serving
