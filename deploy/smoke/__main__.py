"""`python -m deploy.smoke [--url URL --key KEY]`: one look at every part of a running platform.

Without --url it starts `factory up --simulate` on a scratch directory, and ends it again. Prints a line a
step, `smoke NAME ok`, `smoke NAME SKIP: why` or `smoke NAME FAILED: what`, and exits 1 if one failed.
A platform with real providers is asked for two short answers.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from urllib.parse import urlsplit

from deploy.smoke.address import http_url
from deploy.smoke.platform import own_platform
from deploy.smoke.steps import STEPS, Result, Room, Target, run_step
from factory.cli.gateway import Gateway
from factory.errors import FactoryError

MODEL = "openai/gpt-4o-mini"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(arguments: Sequence[str]) -> int:
    """Runs all steps, also after one that failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.url and not options.key:
        parser.error("--url needs --key: `factory keys create smoke` prints one")
    try:
        with _target(options) as target, closing(Gateway(target.url, target.key)) as gateway:
            results = list(_run(Room(target, gateway), as_json=options.json))
    except FactoryError as error:
        print(f"smoke: {error.message}", file=sys.stderr)
        return 1
    failed = [one for one in results if one.status == "failed"]
    if options.json:
        steps = [asdict(one) for one in results]
        print(json.dumps({"ok": not failed, "url": target.url, "steps": steps}))
    else:
        print(f"smoke: {'FAILED' if failed else 'ok'} {target.url}")
    return 1 if failed else 0


def _run(room: Room, *, as_json: bool) -> Iterator[Result]:
    for name, step in STEPS:
        result = run_step(name, step, room)
        if not as_json:
            print(result.line(), flush=True)
        yield result


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[Target]:
    if options.url is None:
        with own_platform(options.timeout) as found:
            yield found
        return
    yield Target(
        url=options.url.rstrip("/"),
        key=options.key,
        model=options.model,
        patience_s=options.timeout,
        receiver=options.receiver,
        webhook_secret=options.webhook_secret,
        prometheus=options.prometheus,
        exporter=options.exporter,
        on_loopback=urlsplit(options.url).hostname in LOOPBACK,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smoke", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--url", type=http_url, help="the gateway; without it, a platform of its own is started"
    )
    parser.add_argument("--key", help="an API key with the scope jobs")
    parser.add_argument("--model", default=MODEL, help=f"what is asked; {MODEL} by default")
    parser.add_argument(
        "--receiver", type=http_url, metavar="URL", help="takes a webhook; answers 2xx"
    )
    parser.add_argument(
        "--webhook-secret", metavar="SECRET", help="checks a webhook to this machine"
    )
    parser.add_argument(
        "--prometheus", type=http_url, metavar="URL", help="the server that scrapes the platform"
    )
    parser.add_argument(
        "--exporter", type=http_url, metavar="URL", help="its /metrics, without a Prometheus"
    )
    parser.add_argument("--timeout", type=float, default=90.0, metavar="S", help="for each step")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
