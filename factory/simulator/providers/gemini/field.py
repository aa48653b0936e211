"""Names of fields: Google's JSON takes them in camelCase and in snake_case."""

from __future__ import annotations

import re
from typing import Any


def get_field(message: Any, name: str) -> Any:
    """The field `name` (camelCase) of a message under either spelling, None without it."""
    snake = re.sub(r"[A-Z]", lambda letter: f"_{letter.group().lower()}", name)
    return message.get(name, message.get(snake))
