"""`factory queues` and `factory workers`: what waits, and who works."""

from __future__ import annotations

from factory.cli.output import JsonOption, KeyOption, UrlOption, print_json, print_rich

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
    rows = (
        (lane["lane"], *(lane[s] for s in STATES), f"{lane['oldest_age_s']:.1f}") for lane in busy
    )
    print_rich(table(("lane", *STATES, "oldest_age_s"), rows))


def workers(url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """Worker processes, whether they live, and how full they are."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import table

    page = find_gateway(url, key).get("/api/workers")
    if as_json:
        print_json(page)
        return
    columns = ("hostname", "pid", "live", "draining", "running", "slots", "heartbeat_at", "lanes")
    print_rich(table(columns, (_worker_cells(worker, columns) for worker in page["data"])))


def _worker_cells(worker: dict[str, object], columns: tuple[str, ...]) -> list[object]:
    lanes = worker["lanes"]
    shown = {**worker, "lanes": f"{len(lanes)} lanes" if isinstance(lanes, list) else lanes}
    return [shown[name] for name in columns]
