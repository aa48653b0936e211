"""The entry point `factory`: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback

import typer

from factory.cli import database, demo, doctor, jobs, keys, queues, simulate, submit, up
from factory.cli.exits import ExitCode, exit_code
from factory.cli.output import complain
from factory.env_file import use_env_file
from factory.errors import FactoryError

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def create_app() -> typer.Typer:
    """All commands. Plain help: Rich's would cost half of the time that `factory --help` takes."""
    app = typer.Typer(
        name="factory",
        help="AI Agent Factory: durable LLM jobs. Exit codes: 0 ok, 1 failed, 2 usage or bad input, "
        "3 timeout, 4 no access, 5 the gateway does not answer.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(start)
    for command in (
        up.up,
        demo.demo,
        doctor.doctor,
        submit.submit,
        submit.watch,
        queues.queues,
        queues.workers,
        simulate.simulate,
    ):
        app.command()(command)
    app.add_typer(jobs.create_app(), name="jobs")
    app.add_typer(keys.create_app(), name="keys")
    app.add_typer(database.create_app(), name="db")
    return app


def start(context: typer.Context) -> None:
    """What goes before every command: the env file. The doctor reads it itself, and tells what is wrong."""
    if context.invoked_subcommand != "doctor":
        use_env_file(os.environ)


def main() -> None:
    """Runs the command line and exits; a traceback appears only with FACTORY_DEBUG set."""
    try:
        create_app()()
    except FactoryError as error:
        _fail(error.message, exit_code(error))
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has gone (`factory jobs list | head`); Python must not flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - the end of the program: say it without a traceback
        hint = "set FACTORY_DEBUG=1 to see where"
        _fail(f"{type(error).__name__}: {error} ({hint})", ExitCode.FAILED)


def _fail(message: str, code: int) -> None:
    if os.environ.get("FACTORY_DEBUG"):
        traceback.print_exc()
    complain(message)
    sys.exit(code)
