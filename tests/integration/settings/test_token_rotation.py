"""JWT_SECRET_KEY is replaced while everything runs: nobody has to log in again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.live_sessions import LiveSessions
from factory.accounts import people
from factory.accounts.accounts import Accounts, Client
from factory.domain.principal import PLATFORM
from factory.errors import Unauthorized, Unavailable
from factory.services import Services
from factory.store.database import run

OLD = "5f1c0de9a7b34286e2d1f80934c7ab65"
NEW = "9d2e7c41b8f0536a1c4be87f20d39a56"
PASSWORD = "correct pony battery"
CLIENT = Client("203.0.113.1", "test")


def accounts(services: Services, current: str | None, previous: str | None = None) -> Accounts:
    """Of a gateway that has just been started."""
    changed = {"jwt_secret_key": current, "jwt_secret_key_previous": previous}
    settings = type(services.settings)(**{**services.settings.model_dump(), **changed})
    return Accounts(replace(services, settings=settings))


def invitation(services: Services, of: Accounts) -> str:
    with services.database.transaction(PLATFORM) as tx:
        return people.invite(tx, of.keys, "ada@example.com", "Ada", "test", is_admin=False).token


def knows(services: Services, of: Accounts, access_token: str) -> bool:
    return LiveSessions(services.database, of.keys).verify(access_token) is not None


def test_a_session_and_an_invitation_outlive_the_secret(services: Services) -> None:
    old, knows_new = accounts(services, OLD), accounts(services, OLD, NEW)
    turned, new = accounts(services, NEW, OLD), accounts(services, NEW)
    token = invitation(services, old)
    first = turned.accept(token, PASSWORD, None, CLIENT)
    for one in (knows_new, turned, new):
        assert knows(services, one, first.access_token)
    assert not knows(services, old, first.access_token)

    second = knows_new.refresh(first.refresh_token)
    assert turned.refresh(first.refresh_token).refresh_token == second.refresh_token
    third = turned.refresh(second.refresh_token)
    assert new.refresh(third.refresh_token)


def test_without_the_earlier_secret_what_it_signed_is_refused(services: Services) -> None:
    old, new = accounts(services, OLD), accounts(services, NEW)
    token = invitation(services, old)
    with pytest.raises(Unauthorized):
        new.accept(token, PASSWORD, None, CLIENT)
    signed_in = old.accept(token, PASSWORD, None, CLIENT)
    assert not knows(services, new, signed_in.access_token)
    assert knows(services, old, signed_in.access_token)


def test_a_secret_of_its_own_can_be_given_later(services: Services) -> None:
    derived = accounts(services, None)
    own = accounts(services, NEW, services.settings.secret_key)
    signed_in = derived.accept(invitation(services, derived), PASSWORD, None, CLIENT)
    assert knows(services, own, signed_in.access_token)
    assert own.refresh(signed_in.refresh_token)


def test_a_late_second_use_ends_the_session_under_any_secret(services: Services) -> None:
    old, turned = accounts(services, OLD), accounts(services, NEW, OLD)
    first = old.accept(invitation(services, old), PASSWORD, None, CLIENT)
    second = turned.refresh(first.refresh_token)
    with services.database.transaction(PLATFORM) as tx:
        run(tx, "UPDATE sessions SET rotated_at = rotated_at - interval '11 seconds'")
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(Unauthorized):
            turned.refresh(token)


def test_a_gateway_that_does_not_know_the_new_secret_yet_ends_no_session(
    services: Services,
) -> None:
    old, turned = accounts(services, OLD), accounts(services, NEW, OLD)
    first = old.accept(invitation(services, old), PASSWORD, None, CLIENT)
    second = turned.refresh(first.refresh_token)
    for token in (first.refresh_token, second.refresh_token):
        with pytest.raises(Unavailable):
            old.refresh(token)
    assert turned.refresh(second.refresh_token)
