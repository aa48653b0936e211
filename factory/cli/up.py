"""`factory up`: the whole platform in one terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from factory.cli.banner import FLOWER_PASSWORD_FILE, FLOWER_USER, Banner, Flower
from factory.cli.output import JsonOption, complain, print_json, print_lines
from factory.cli.providers import example_model, to_simulate
from factory.domain.lanes import parse_lanes
from factory.embedded.home import Home, InstallationState, home_directory

if TYPE_CHECKING:
    from factory.cli.platform import Platform


def up(
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    dispatchers: Annotated[int, typer.Option(min=1, help="Dispatcher processes.")] = 1,
    lanes: Annotated[
        str, typer.Option(help="What the workers serve, e.g. openai.*,*.high")
    ] = "all",
    host: Annotated[str, typer.Option(help="Where the gateway listens.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(help="The gateway's port; by default the first free from 8000.")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Simulate all providers, whatever keys are set.")
    ] = False,
    no_flower: Annotated[bool, typer.Option("--no-flower", help="Without Flower.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start everything: servers, gateway, dispatcher, workers. Ctrl-C stops it.

    Postgres and Redis come from DATABASE_URL and REDIS_URL, or out of the box in .factory
    ($FACTORY_HOME). Providers without any key are simulated.
    """
    parse_lanes(lanes)
    home = Home(home_directory(os.environ))
    state = home.running_state()
    if state:
        _show(
            _known_banner(home, state, os.environ),
            f"already running (pid {state.owner_pid})",
            as_json=as_json,
        )
        return
    from factory.cli.platform import FirstPorts, prepared_platform
    from factory.cli.programs import Layout
    from factory.cli.surroundings import platform_environment
    from factory.embedded.supervisor import Supervisor

    environ = platform_environment()
    simulated = to_simulate(environ, force=simulate)
    layout = Layout(workers, dispatchers, lanes, flower=not no_flower, simulator=bool(simulated))
    first = FirstPorts() if port is None else FirstPorts(api=port, api_exactly=True)
    complain("starting; on the first start this takes half a minute …")
    with prepared_platform(home, layout, simulated, host, first, environ) as platform:

        def announce() -> None:
            platform.publish()
            _show(_with_first_admin(platform), "up; Ctrl-C stops it", as_json=as_json)

        Supervisor(platform.programs, sys.stderr).run(announce)


def _with_first_admin(platform: Platform) -> Banner:
    """The banner; at the first start also the invitation of the first administrator, made when all is up to show it."""
    from factory.cli.users import invite_first_admin
    from factory.services import connect

    services = connect(platform.installation.settings, "up")
    try:
        made = invite_first_admin(services)
    finally:
        services.close()
    banner = platform.banner()
    return (
        replace(banner, admin_email=made.user.email, admin_invitation=made.token)
        if made
        else banner
    )


def _known_banner(home: Home, state: InstallationState, environ: Mapping[str, str]) -> Banner:
    """As it was when the installation came up."""
    password = home.directory / FLOWER_PASSWORD_FILE
    shown = state.flower_url is not None and password.exists()
    return Banner(
        state.api_url,
        Path(state.api_key_path).read_text(),
        example_model(environ),
        state.metrics_url,
        Flower(state.flower_url or "", FLOWER_USER, password.read_text()) if shown else None,
        tuple(state.simulated),
        state.loopback_webhooks,
        state.simulator_url,
        state.gateway_metrics_url,
    )


def _show(banner: Banner, status: str, *, as_json: bool) -> None:
    if as_json:
        print_json(banner.as_dict())
        return
    print_lines(["", f"AI Agent Factory is {status}", "", *banner.lines(), ""])
