"""`factory models`, `factory agents`, `factory search`: what jobs may name, and what was embedded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from factory.cli.output import JsonOption, KeyOption, UrlOption, print_json, print_lines, print_rich


def models(
    provider: Annotated[
        str | None, typer.Option(help="Only its models; default: providers with lanes.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="chat or embedding.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 1000,
    after: Annotated[str | None, typer.Option(help="Behind this model.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """The models that jobs may name, with prices."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import table

    wanted = {"provider": provider, "mode": mode, "after": after}
    params = {name: value for name, value in wanted.items() if value}
    page = find_gateway(url, key).get("/api/models", {**params, "limit": limit})
    if as_json:
        print_json(page)
        return
    columns = ("model", "mode", "$ in", "$ out", "window")
    print_rich(table(columns, map(_model_cells, page["data"])))
    print_lines(["", "$ in, $ out: dollars for a million tokens; window: tokens of input at most"])
    if page["has_more"]:
        print_lines([f"more: --after {page['last_id']}"])


def agents(url: UrlOption = None, key: KeyOption = None, as_json: JsonOption = False) -> None:
    """The agents that jobs may name, each in its active version."""
    from factory.cli.gateway import find_gateway
    from factory.cli.render import table

    page = find_gateway(url, key).get("/api/agents")
    if as_json:
        print_json(page)
        return
    columns = ("agent", "version", "model", "description")
    if not page["data"]:
        print_lines(["no agents: put a YAML file into agents/ (AGENTS_DIR)"])
        return
    print_rich(
        table(columns, ([one[name] for name in ("name", *columns[1:])] for one in page["data"]))
    )


def search(
    query: Annotated[str, typer.Argument(help="What to look for, in any words.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="That embedded the texts.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, help="At most so many pieces.")] = 8,
    url: UrlOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the nearest pieces of embedded texts."""
    from factory.cli.gateway import find_gateway

    body = {"query": query, "limit": limit, **({"model": model} if model else {})}
    page = find_gateway(url, key).post("/api/search", body)
    if as_json:
        print_json(page)
        return
    if not page["data"]:
        print_lines(["nothing found: only texts that were embedded can be"])
    for hit in page["data"]:
        content = " ".join(hit["content"].split())
        print_lines([f"{hit['score']:.3f}  {hit['source']}", f"       {content}", ""])


def _model_cells(model: dict[str, Any]) -> tuple[object, ...]:
    price = model["price"]
    return (
        model["id"],
        model["mode"],
        f"{price['input_usd_per_million']:g}" if price else "?",
        f"{price['output_usd_per_million']:g}" if price else "?",
        model["max_input_tokens"] or "-",
    )
