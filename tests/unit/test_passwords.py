"""How passwords are hashed and compared."""

from __future__ import annotations

import threading
import time

import pytest
from argon2 import PasswordHasher

from factory.accounts import passwords
from factory.accounts.passwords import AT_ONCE, MOST, Passwords
from factory.errors import Unavailable

PASSWORD = "a long pass phrase"


def test_a_hash_is_argon2id_with_the_parameters_that_owasp_names() -> None:
    made = Passwords()
    stored = made.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert made.hash(PASSWORD) != stored
    assert made.is_right(stored, PASSWORD)
    assert not made.is_right(stored, PASSWORD + " ")
    assert not made.is_outdated(stored)


def test_a_hash_of_other_parameters_is_good_and_outdated() -> None:
    stored = PasswordHasher(1, 8192, 1).hash(PASSWORD)
    assert Passwords().is_right(stored, PASSWORD)
    assert Passwords().is_outdated(stored)


@pytest.mark.parametrize("stored", [None, "", "nonsense"])
def test_without_a_stored_hash_no_password_is_right(stored: str | None) -> None:
    assert not Passwords().is_right(stored, PASSWORD)
    assert not Passwords().is_right(stored, "")


def test_the_hash_of_nobody_costs_what_another_costs() -> None:
    assert not Passwords().is_outdated(passwords.NOBODYS)


def test_few_hash_at_once_few_wait_and_the_others_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 60.0)
    made, released, lock = Passwords(), threading.Event(), threading.Lock()
    here: list[int] = []
    most: list[int] = []

    def hold() -> None:
        with made.place():
            with lock:
                here.append(1)
                most.append(len(here))
            released.wait(60)
            with lock:
                here.pop()

    threads = [threading.Thread(target=hold) for _ in range(MOST)]
    for one in threads:
        one.start()
    while made._here._value or len(most) < AT_ONCE:
        time.sleep(0.001)
    with pytest.raises(Unavailable), made.place():
        pass
    released.set()
    for one in threads:
        one.join(60)
    assert (len(most), max(most)) == (MOST, AT_ONCE)


def test_a_place_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT_S", 0.01)
    made = Passwords()
    with made.place(), made.place(), pytest.raises(Unavailable), made.place():
        pass
    with made.place():
        pass
