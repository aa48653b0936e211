"""Calls between the threads of the pool."""

from __future__ import annotations

import pytest

from workers.mailbox import Mailbox


def test_many_posts_share_one_wake_up_and_keep_their_order() -> None:
    wakes: list[None] = []
    seen: list[int] = []
    mailbox = Mailbox(lambda: wakes.append(None))
    for number in range(3):
        mailbox.post(seen.append, number)
    mailbox.run()
    assert (seen, len(wakes)) == ([0, 1, 2], 1)
    mailbox.post(seen.append, 3)
    assert len(wakes) == 2


def test_a_failing_call_does_not_lose_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []
    mailbox = Mailbox(lambda: None)
    mailbox.post({}.__getitem__, "missing")
    mailbox.post(seen.append, "next")
    mailbox.run()
    assert seen == ["next"]
    assert "KeyError" in caplog.text


def test_a_call_may_run_the_mailbox_again() -> None:
    seen: list[str] = []
    mailbox = Mailbox(lambda: None)
    mailbox.post(mailbox.run)
    mailbox.post(seen.append, "once")
    mailbox.run()
    assert seen == ["once"]
