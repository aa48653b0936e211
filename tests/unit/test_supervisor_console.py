from __future__ import annotations

import io

from factory.embedded.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ClosedTerminal(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_prefixes_line_up() -> None:
    out = io.StringIO()
    console = Console(out, ["api", "worker.1"], {})
    console.show("api", "hello")
    console.show("worker.1", "hello")
    assert out.getvalue() == "api      | hello\nworker.1 | hello\n"


def test_a_terminal_gets_a_colour_per_program() -> None:
    out = Terminal()
    console = Console(out, ["api", "worker"], {})
    console.show("api", "a")
    console.show("worker", "b")
    assert out.getvalue() == "\x1b[36mapi    | \x1b[0ma\n\x1b[33mworker | \x1b[0mb\n"


def test_no_color_is_respected() -> None:
    out = Terminal()
    Console(out, ["api"], {"NO_COLOR": "1"}).show("api", "a")
    assert out.getvalue() == "api | a\n"


def test_a_terminal_that_went_away_stops_nobody() -> None:
    Console(ClosedTerminal(), ["api"], {}).show("api", "a")
