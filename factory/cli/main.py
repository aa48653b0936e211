"""The entry point `factory`: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated

import typer

from factory import __version__
from factory.cli import (
    backup,
    catalog,
    database,
    demo,
    doctor,
    init_env,
    jobs,
    keys,
    maintenance,
    plan,
    queues,
    reset,
    simulate,
    submit,
    up,
    users,
)
from factory.cli.exits import ExitCode, exit_code
from factory.cli.output import complain, print_json
from factory.env_file import VARIABLE, env_file, read_env_file, use_env_file
from factory.errors import FactoryError, Misconfigured

WITHOUT_ENV_FILE = ("doctor", "init-env")


def create_app() -> typer.Typer:
    """All commands. Plain help: Rich's would cost half of the time that `factory --help` takes."""
    app = typer.Typer(
        name="factory",
        help="AI Agent Factory: durable LLM jobs. Exit codes: 0 ok, 1 failed, 2 usage or bad input, "
        "3 timeout, 4 no access, 5 the gateway does not answer.",
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(start)
    for command in (
        up.up,
        demo.demo,
        doctor.doctor,
        init_env.init_env,
        submit.submit,
        submit.watch,
        queues.queues,
        queues.workers,
        catalog.models,
        catalog.agents,
        catalog.search,
        simulate.simulate,
        plan.plan,
        reset.reset,
    ):
        app.command()(command)
    app.add_typer(jobs.create_app(), name="jobs")
    app.add_typer(keys.create_app(), name="keys")
    app.add_typer(users.create_app(), name="users")
    app.add_typer(database.create_app(), name="db")
    app.add_typer(backup.create_app(), name="backup")
    app.add_typer(maintenance.create_app(), name="maintenance")
    return app


def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Loads the env file before every command, except two: the doctor, which tells what is wrong with it, and the one
    that makes it.
    """
    if version:
        sys.stdout.write(f"factory {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(_print_help(context))
    if context.invoked_subcommand not in WITHOUT_ENV_FILE:
        use_env_file(os.environ)


def main() -> None:
    """Runs the command line and exits; a traceback appears only with FACTORY_DEBUG set."""
    try:
        sys.exit(create_app()(standalone_mode=False))
    except typer.TyperException as error:
        message = getattr(error, "format_message", error.__str__)()
        _fail(message, ExitCode.USAGE, kind="usage", usage=_usage(error))
    except FactoryError as error:
        _fail(_told(error), exit_code(error), kind=error.type, param=error.param, code=error.code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", ExitCode.INTERRUPTED, kind="interrupted")
    except BrokenPipeError:
        # The reader has gone (`factory jobs list | head`); Python must not flush into the pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)
    except Exception as error:  # noqa: BLE001 - users get one line, not a traceback
        hint = "set FACTORY_DEBUG=1 to see where"
        _fail(f"{type(error).__name__}: {error} ({hint})", ExitCode.FAILED, kind="internal_error")


def _told(error: FactoryError) -> str:
    """The error's message; for a setting also the env file that has it, because the user did not name that file."""
    path = env_file(os.environ)
    if error.type != Misconfigured.type or path is None or error.param == VARIABLE:
        return error.message
    named = error.param in read_env_file(path)
    return f"{error.message}\n  as {path.resolve()} has it" if named else error.message


def _print_help(context: typer.Context) -> int:
    sys.stdout.write(context.get_help() + "\n")
    return ExitCode.USAGE


def _usage(error: typer.TyperException) -> str | None:
    """The usage of a command that was called wrongly."""
    context = getattr(error, "ctx", None)
    return f"{context.get_usage()}\nTry '{context.command_path} --help'." if context else None


def _fail(
    message: str,
    exit_status: int,
    *,
    kind: str,
    param: str | None = None,
    code: str | None = None,
    usage: str | None = None,
) -> None:
    """On stderr for people; with --json a document on stdout, in the shape of the API's errors."""
    if os.environ.get("FACTORY_DEBUG"):
        traceback.print_exc()
    if "--json" in sys.argv[1:]:
        print_json({"error": {"message": message, "type": kind, "param": param, "code": code}})
    else:
        if usage:
            sys.stderr.write(f"{usage}\n")
        complain(message)
    sys.exit(exit_status)
