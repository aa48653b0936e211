"""`factory queues` and `factory workers`: what waits, and who works."""

from __future__ import annotations

from factory.cli.output import JsonOption, KeyOption, UrlOption, print_json, print_lines, print_rich

STATES = ("queued", "running", "waiting")


def queues(url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Depth and oldest age of each lane that holds jobs."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import table

    page = find_gateway(url, key).get("/api/queues")
    if as_json:
        print_json(page)
        return
    busy = [lane for lane in page["data"] if any(lane[state] for state in STATES)]
    if not busy:
        print_lines(["no jobs are queued, running or waiting"])
        return
    rows = (
        (lane["lane"], *(lane[s] for s in STATES), f"{lane['oldest_age_s']:.1f}") for lane in busy
    )
    print_rich(table(("lane", *STATES, "oldest, s"), rows))


def workers(url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Worker processes, and how full they are."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import table

    page = find_gateway(url, key).get("/api/workers")
    if as_json:
        print_json(page)
        return
    if not page["data"]:
        print_lines(["no workers"])
        return
    columns = ("hostname", "pid", "live", "draining", "running", "slots", "heartbeat_at", "lanes")
    print_rich(table(columns, (_worker_cells(worker, columns) for worker in page["data"])))


def _worker_cells(worker: dict[str, object], columns: tuple[str, ...]) -> list[object]:
    from factory.cli.render import moment

    lanes = worker["lanes"]
    shown = {
        **worker,
        "live": _yes_or_no(worker["live"]),
        "draining": _yes_or_no(worker["draining"]),
        "heartbeat_at": moment(str(worker["heartbeat_at"])),
        "lanes": len(lanes) if isinstance(lanes, list) else lanes,
    }
    return [shown[name] for name in columns]


def _yes_or_no(value: object) -> str:
    return "yes" if value else "no"
