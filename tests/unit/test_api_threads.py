"""What comes in one round of the server's loop is handed to threads together."""

from api.threads import LONGEST_ROUND_S, Round


class Clock:
    """Shows what a test sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_round_is_handed_over_at_its_end_in_order() -> None:
    given: list[str] = []
    current = Round(given.append, Clock())
    for one in ("a", "b"):
        current.go_on()
        current.add(one)
    assert given == []

    current.end()
    current.end()

    assert given == ["a", "b"]


def test_a_long_round_holds_up_nobody() -> None:
    given: list[str] = []
    clock = Clock()
    current = Round(given.append, clock)
    current.add("a")
    clock.now_s += LONGEST_ROUND_S * 0.9
    current.add("b")
    current.go_on()
    assert given == []

    clock.now_s += LONGEST_ROUND_S * 0.2
    current.go_on()
    assert given == ["a", "b"]

    current.add("c")
    current.go_on()
    assert given == ["a", "b"]
