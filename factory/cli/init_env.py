"""`factory init-env`: an env file for production, with secrets of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from factory.cli.output import JsonOption, print_json, print_lines
from factory.errors import Conflict, InvalidInput, Misconfigured

OWNER_ALONE = 0o600
FLOWER_USER = "admin"
SECRET_BYTES = 32
PASSWORD_BYTES = 24


def init_env(
    path: Annotated[Path, typer.Argument(help="Where it is written.")] = Path(".env"),
    domain: Annotated[
        str | None, typer.Option(help="The name that callers use, such as api.your-company.com.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write an env file for production, with random secrets.

    Only its owner can read it. A file that is there is left alone.
    """
    from factory.cli.env_file import find_faults
    from factory.config.template import template

    text = template({**new_secrets(), **(names_of(domain) if domain is not None else {})})
    write_new(path, text)
    left = [{"name": one.name, "reason": one.reason} for one in find_faults(text)]
    if as_json:
        print_json({"path": str(path), "left": left})
        return
    lines = [f"wrote {path}; what is left to fill in:"]
    lines += [f"  {one['name']} {one['reason']}" for one in left]
    print_lines([*lines, f"then: factory doctor --env {path}"])


def new_secrets() -> dict[str, str]:
    """Every secret that can be made here. Hexadecimal: safe in a URL, a shell and a compose file."""
    import secrets

    def password() -> str:
        return secrets.token_hex(PASSWORD_BYTES)

    return {
        "SECRET_KEY": secrets.token_hex(SECRET_BYTES),
        "JWT_SECRET_KEY": secrets.token_hex(SECRET_BYTES),
        "DATABASE_PASSWORD": password(),
        "POSTGRES_PASSWORD": password(),
        "POSTGRES_EXPORTER_PASSWORD": password(),
        "REDIS_PASSWORD": password(),
        "GRAFANA_PASSWORD": password(),
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password()}",
    }


def names_of(domain: str) -> dict[str, str]:
    """What follows from the name that callers use; certbot puts the certificate there. Raises InvalidInput."""
    from factory.cli.env_file import DOMAIN

    domain = domain.strip().lower()
    if not DOMAIN.fullmatch(domain):
        raise InvalidInput(
            "--domain is the name alone, such as api.your-company.com: no https://, no port, no path, and "
            "letters that are not ASCII as xn--…",
            param="--domain",
        )
    live = f"/etc/letsencrypt/live/{domain}"
    return {
        "API_BASE_URL": f"https://{domain}",
        "SERVER_NAME": domain,
        "SSL_CERT_PATH": f"{live}/fullchain.pem",
        "SSL_KEY_PATH": f"{live}/privkey.pem",
    }


def write_new(path: Path, text: str) -> None:
    """Writes a file that only its owner can read. Raises Conflict if there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ALONE)
    except FileExistsError:
        raise Conflict(f"{path} is there already: name another file, or remove it") from None
    except OSError as error:
        raise Misconfigured(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    # Whatever stopped it, even Ctrl-C: half a file would be in the way of the next attempt.
    except BaseException as error:
        path.unlink()
        if isinstance(error, OSError):
            raise Misconfigured(f"{path} cannot be written: {error.strerror}") from None
        raise
