"""Checks on what callers send, before it costs anything."""

from __future__ import annotations

from typing import Any

from factory.domain.message import Message, Role
from factory.errors import InvalidInput

MOST_MESSAGES = 1000
MOST_TEXTS = 1000


def find_nul(value: Any, path: str = "") -> str | None:
    """Where in a JSON value a NUL character is, as `input[0].content`; Postgres cannot store one."""
    if isinstance(value, str):
        return path if "\x00" in value else None
    if isinstance(value, dict):
        parts = [(f"{path}.{key}" if path else str(key), part) for key, part in value.items()]
        if any("\x00" in str(key) for key in value):
            return path or "body"
    elif isinstance(value, list | tuple):
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        return None
    return next((found for name, part in parts if (found := find_nul(part, name))), None)


def parse_messages(given: Any) -> tuple[Message, ...]:
    """A text, or a list of `{role, content}`, as messages. Raises InvalidInput that names the place."""
    if isinstance(given, str):
        return (Message(Role.USER, _filled(given, "input")),)
    items = _listed(given, MOST_MESSAGES, "messages {role, content}")
    messages = tuple(_message(item, f"input[{index}]") for index, item in enumerate(items))
    if all(message.role is Role.SYSTEM for message in messages):
        raise InvalidInput("input needs at least one message of the user", param="input")
    return messages


def _message(item: Any, path: str) -> Message:
    if not isinstance(item, dict):
        raise InvalidInput(f"{path} must be an object with role and content", param=path)
    unknown = set(item) - {"role", "content"}
    if unknown:
        name = sorted(unknown)[0]
        raise InvalidInput(f"{path} has an unknown field {name!r}", param=f"{path}.{name}")
    try:
        role = Role(str(item.get("role")))
    except ValueError:
        known = ", ".join(Role)
        raise InvalidInput(f"{path}.role must be one of {known}", param=f"{path}.role") from None
    return Message(role, _filled(item.get("content"), f"{path}.content"))


def parse_texts(given: Any) -> tuple[tuple[str, str], ...]:
    """A text, a list of texts or of `{source, text}`, as (source, text). `source` defaults to the place."""
    if isinstance(given, str):
        return (("input", _filled(given, "input")),)
    items = _listed(given, MOST_TEXTS, "texts or of {source, text}")
    return tuple(_text(item, f"input[{index}]") for index, item in enumerate(items))


def _text(item: Any, path: str) -> tuple[str, str]:
    if isinstance(item, str):
        return path, _filled(item, path)
    if not isinstance(item, dict) or set(item) != {"source", "text"}:
        raise InvalidInput(f"{path} must be a text or {{source, text}}", param=path)
    return _filled(item["source"], f"{path}.source"), _filled(item["text"], f"{path}.text")


def _listed(given: Any, most: int, of: str) -> list[Any]:
    if not isinstance(given, list) or not given:
        raise InvalidInput(f"input must be a text or a non-empty list of {of}", param="input")
    if len(given) > most:
        raise InvalidInput(f"input has {len(given)} items; at most {most}", param="input")
    return given


def _filled(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{path} must be a text that is not empty", param=path)
    return value
