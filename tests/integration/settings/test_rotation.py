"""SECRET_KEY is replaced while everything runs: nobody is locked out, and the doctor tells when it is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.keyring import Keyring
from factory.cli.check import Status
from factory.cli.settings_checks import check_secret
from factory.services import Services
from factory.store import keys, projects
from factory.store.database import rows, run
from factory.store.key_hashes import secret_hash

OLD = "5f1c0de9a7b34286e2d1f80934c7ab65"
NEW = "9d2e7c41b8f0536a1c4be87f20d39a56"
NEWEST = "c07a6be2f51d94830b7e1fa4d8629c35"


def with_secret(services: Services, current: str, previous: str | None = None) -> Services:
    changed = {"secret_key": current, "secret_key_previous": previous}
    settings = type(services.settings)(**{**services.settings.model_dump(), **changed})
    return replace(services, settings=settings)


def opens(services: Services, key: str) -> bool:
    """By a gateway that has just been started."""
    return Keyring(services).verify(key) is not None


def make_key(services: Services) -> str:
    settings = services.settings
    with services.database.transaction() as tx:
        project = projects.ensure(tx, "default")
        return keys.create(
            tx, settings.secret_key, project.id, "k", ["jobs"], previous=settings.previous_secrets
        )


def as_before(services: Services, key: str) -> bool:
    """Whether a program of before, which knows one hash and one secret, opens it."""
    with services.database.transaction() as tx:
        statement = "SELECT secret_hash FROM api_keys WHERE prefix = %(prefix)s"
        [row] = rows(tx, statement, {"prefix": keys.prefix_of(key)})
    return bool(row.secret_hash == secret_hash(services.settings.secret_key, key))


def forget_hashes(services: Services) -> None:
    """As programs of before have left the rows."""
    with services.database.transaction() as tx:
        run(tx, "UPDATE api_keys SET secret_hashes = '{}'")


def outdated(services: Services) -> list[str]:
    settings = services.settings
    with services.database.transaction() as tx:
        return keys.outdated(tx, settings.secret_key, settings.previous_secrets)


@pytest.mark.parametrize("made_before", [False, True])
def test_a_key_moves_to_the_new_secret_at_its_first_use(
    services: Services, made_before: bool
) -> None:
    old, both, new = (with_secret(services, *pair) for pair in ((OLD,), (NEW, OLD), (NEW,)))
    used, unused = make_key(old), make_key(old)
    if made_before:
        forget_hashes(services)
    assert outdated(both) == [keys.prefix_of(used), keys.prefix_of(unused)]
    assert not opens(new, used)
    assert opens(both, used)
    assert outdated(both) == [keys.prefix_of(unused)]
    assert opens(new, used)
    assert not opens(new, unused)


def test_gateways_with_the_old_secret_alone_go_on_beside_new_ones(services: Services) -> None:
    old, both = with_secret(services, OLD), with_secret(services, NEW, OLD)
    moved, made_meanwhile = make_key(old), make_key(both)
    assert opens(both, moved)
    for key in (moved, made_meanwhile):
        assert opens(old, key)
        assert as_before(old, key)
        assert opens(with_secret(services, NEW), key)


def test_a_key_is_written_once_however_often_it_is_used(services: Services) -> None:
    old, both = with_secret(services, OLD), with_secret(services, NEW, OLD)
    key = make_key(old)
    with services.database.transaction() as tx:
        assert keys.rehash(tx, NEW, key, [OLD])
        assert not keys.rehash(tx, NEW, key, [OLD])
    assert opens(both, key)
    with services.database.transaction() as tx:
        assert not keys.verify_all(tx, NEW, [key], [OLD])[0].outdated


def test_a_secret_can_be_replaced_again(services: Services) -> None:
    key = make_key(with_secret(services, OLD))
    assert opens(with_secret(services, NEW, OLD), key)
    assert opens(with_secret(services, NEWEST, NEW), key)
    assert opens(with_secret(services, NEWEST), key)
    assert not opens(with_secret(services, OLD), key)


def test_nothing_is_written_where_no_secret_is_replaced(services: Services) -> None:
    old = with_secret(services, OLD)
    key = make_key(old)
    forget_hashes(services)
    assert opens(old, key)
    with services.database.transaction() as tx:
        assert rows(tx, "SELECT secret_hashes FROM api_keys")[0].secret_hashes == {}


def test_the_same_secret_twice_is_one(services: Services) -> None:
    same = with_secret(services, OLD, OLD)
    assert same.settings.previous_secrets == ()
    assert opens(same, make_key(same))


def test_the_doctor_counts_what_hangs_on_the_earlier_secret(services: Services) -> None:
    old, both = with_secret(services, OLD), with_secret(services, NEW, OLD)
    key = make_key(old)
    assert list(check_secret(old)) == []
    [waits] = check_secret(both)
    assert waits.status is Status.WARN
    assert waits.detail.startswith("1 API keys depend on SECRET_KEY_PREVIOUS")
    [lost] = check_secret(with_secret(services, NEW))
    assert lost.detail.startswith("1 API keys need an earlier secret")
    assert opens(both, key)
    [done] = check_secret(both)
    assert done.status is Status.OK
