"""One job in full, as text for people: `factory jobs show`."""

from __future__ import annotations

import json
from typing import Any

from factory.cli.render import dollars, moment

Row = dict[str, Any]
EMPTY: tuple[object, ...] = (None, [], {})
"""Values that are left out, as if the field were missing; --json shows them all."""


def details_lines(thing: Row) -> list[str]:
    """One line a field that holds something, and for a list of things one line each."""
    told = {name: value for name, value in thing.items() if value not in EMPTY and name != "object"}
    width = max(map(len, told), default=0)
    return [line for name, value in told.items() for line in _field_lines(name, value, width)]


def _field_lines(name: str, value: object, width: int) -> list[str]:
    several = value if isinstance(value, list) and isinstance(value[0], dict) else [value]
    return [
        f"{name if not place else '':<{width}}  {_plain(name, one)}"
        for place, one in enumerate(several)
    ]


def _plain(name: str, value: object) -> str:
    if isinstance(value, dict):
        return _plain_parts(value)
    if name.endswith("_usd") and isinstance(value, float):
        return dollars(value)
    if name.endswith("_at") and isinstance(value, str):
        return moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain_parts(value: Row) -> str:
    if value.keys() >= {"attempt", "model", "latency_ms"}:
        return _attempt_line(value)
    if value.keys() >= {"url", "last_status"}:
        return _webhook_line(value)
    if value.keys() >= {"type", "since"}:
        return _wait_line(value)
    if value.keys() >= {"type", "message"}:
        return error_text(value)
    if value.keys() == {"role", "content"} and isinstance(value["content"], str):
        return f"{value['role']}: {value['content']}"
    if value.keys() == {"input_tokens", "output_tokens", "cached_tokens"}:
        return ", ".join(f"{count} {name.removesuffix('_tokens')}" for name, count in value.items())
    if isinstance(value.get("text"), str):
        return str(value["text"])
    return json.dumps(value, ensure_ascii=False)


def error_text(error: Row) -> str:
    """An error in a line; what a model said before it was refused is in --json."""
    return f"{error['type']}: {error['message']}"


def _attempt_line(call: Row) -> str:
    parts = [f"{call['attempt']}", call["model"], call["state"]]
    if call["latency_ms"] is not None:
        parts.append(f"{call['latency_ms']} ms")
    if call.get("http_status"):
        parts.append(f"HTTP {call['http_status']}")
    if call.get("cost_usd") is not None:
        parts.append(dollars(call["cost_usd"]))
    if call.get("error"):
        parts.append(error_text(call["error"]))
    return "  ".join(map(str, parts))


def _wait_line(wait: Row) -> str:
    parts = [wait["type"], *(wait.get("jobs") or ())]
    parts += [f"{name} {moment(wait[name])}" for name in ("since", "until") if wait.get(name)]
    return "  ".join(parts)


def _webhook_line(webhook: Row) -> str:
    parts = [webhook["url"], webhook["state"]]
    if webhook.get("attempts"):
        parts.append(f"attempts {webhook['attempts']}")
    # The error's text contains the status.
    if webhook.get("last_error"):
        parts.append(webhook["last_error"])
    elif webhook["last_status"]:
        parts.append(f"HTTP {webhook['last_status']}")
    if webhook.get("next_at"):
        parts.append(f"next {moment(webhook['next_at'])}")
    return "  ".join(map(str, parts))
