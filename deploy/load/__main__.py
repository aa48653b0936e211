"""`python -m deploy.load [--url URL --key KEY --model MODEL]`: a bounded load by Locust, and a report.

Without --url it loads a platform of its own on loopback, whose providers are simulated. With it every POST
is a job that the named model answers, and that is paid for. Writes report.json, report.md and load.png;
exits 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from deploy.load.report import Report, read_report
from deploy.smoke.address import http_url
from deploy.smoke.platform import own_platform
from deploy.validate.tools import Invalid, Tools, Unavailable
from factory.cli.gateway import Gateway
from factory.errors import FactoryError

ROOT = Path(__file__).resolve().parents[2]
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
PICTURE = Path(__file__).with_name("picture.py")
MOST_REQUESTS, MOST_SECONDS = 1_000_000, 3600
Target = tuple[str, str, str]
"""URL, key, model."""


def main(arguments: Sequence[str]) -> int:
    """Loads, reads what Locust measured, judges it."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.url and not (options.key and options.model):
        parser.error("--url needs --key and --model: its jobs are answered, and paid for")
    if not (0 < options.seconds <= MOST_SECONDS and 0 < options.requests <= MOST_REQUESTS):
        parser.error(
            f"at most {MOST_SECONDS} --seconds and {MOST_REQUESTS} --requests, more than 0"
        )
    if not (0 < options.rate < math.inf and options.users > 0):
        parser.error("--rate and --users are more than 0")
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        with _target(options) as target:
            report = _measure(Tools(ROOT), target, options)
    except Unavailable as reason:
        print(f"load skipped: {reason}")
        return 0
    except (Invalid, FactoryError) as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    _write(report, options.out)
    print(report.markdown())
    return 0 if report.reached else 1


def _measure(tools: Tools, target: Target, options: argparse.Namespace) -> Report:
    url, key, model = target
    locust, stem = tools.python("locust"), options.out / "locust"
    stats = options.out / "stats.csv"
    users = max(1, min(options.users, round(options.rate)))
    tools.run(
        [
            *(locust, "-f", LOCUSTFILE, "--headless", "--only-summary", "--host", url),
            *("-u", str(users), "-r", str(users), "-t", f"{options.seconds}s"),
            *("--csv", str(stem), "--csv-full-history", "--exit-code-on-error", "0"),
        ],
        env={
            "LOAD_KEY": key,
            "LOAD_MODEL": model,
            "LOAD_RATE_A_USER": f"{options.rate / users}",
            "LOAD_REQUESTS": str(options.requests),
            "LOAD_STATS": str(stats),
        },
        timeout_s=options.seconds + 120,
    )
    tools.run(
        [
            tools.python("locust", "python"),
            PICTURE,
            f"{stem}_stats_history.csv",
            options.out / "load.png",
        ]
    )
    return read_report(stats, url)


def _write(report: Report, out: Path) -> None:
    (out / "report.json").write_text(json.dumps(report.document(), indent=2) + "\n")
    (out / "report.md").write_text(report.markdown() + "\n")


@contextmanager
def _target(options: argparse.Namespace) -> Iterator[Target]:
    if options.url:
        url = options.url.rstrip("/")
        with closing(Gateway(url, options.key)) as gateway:
            gateway.get(
                "/api/jobs", {"limit": 1}
            )  # says why, where a load would say that all failed
        yield url, options.key, options.model
        return
    with own_platform(options.seconds) as found:
        yield found.url, found.key, found.model


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="load", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--url", type=http_url, help="the gateway; without it, a platform of its own is started"
    )
    parser.add_argument("--key", help="an API key with the scope jobs")
    parser.add_argument("--model", help="who answers the jobs of a platform that is named")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second; 50")
    parser.add_argument("--users", type=int, default=20, help="connections at most; 20")
    parser.add_argument("--seconds", type=int, default=30, help="how long; 30")
    parser.add_argument("--requests", type=int, default=10_000, help="how many at most; 10,000")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "load", metavar="DIRECTORY")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
