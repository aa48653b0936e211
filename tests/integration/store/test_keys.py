"""API keys: only a keyed hash is stored, and only a live key opens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from factory.services import Services
from factory.store import keys, projects
from factory.store.projects import Project
from tests.integration.store.samples import PROJECT, ask, tell

SECRET = "an installation's own secret key"


@pytest.fixture
def project(services: Services) -> Project:
    with services.database.transaction() as tx:
        return projects.ensure(tx, "default")


def _create(services: Services, project: Project, **options: datetime) -> str:
    with services.database.transaction() as tx:
        return keys.create(tx, SECRET, project.id, "laptop", ["jobs"], **options)


def _verify(services: Services, key: str, secret: str = SECRET) -> keys.KeyView | None:
    with services.database.transaction() as tx:
        return keys.verify(tx, secret, key)


def test_a_key_opens_its_project(services: Services, project: Project) -> None:
    found = _verify(services, _create(services, project))
    assert found is not None
    assert (found.project_id, found.name, found.scopes) == (project.id, "laptop", ["jobs"])


def test_the_key_itself_is_nowhere_in_the_table(services: Services, project: Project) -> None:
    key = _create(services, project)
    [row] = ask(services, "SELECT to_jsonb(k)::text AS whole FROM api_keys k")
    assert key not in row.whole
    assert key.split("_", 2)[2] not in row.whole


def test_another_installation_cannot_use_the_key(services: Services, project: Project) -> None:
    assert _verify(services, _create(services, project), "another installation's secret") is None


def test_a_wrong_secret_behind_a_right_prefix_opens_nothing(
    services: Services, project: Project
) -> None:
    key = _create(services, project)
    assert _verify(services, key[:-1] + ("0" if key[-1] != "0" else "1")) is None


@pytest.mark.parametrize(
    "key", ["", "af_", "af__x", "af_x_", "sk_abc_def", "af_' OR 1=1_x", "af_ä_ö", "af_0_0\n"]
)
def test_what_is_no_key_opens_nothing(services: Services, key: str) -> None:
    assert _verify(services, key) is None


def test_a_revoked_key_opens_nothing(services: Services, project: Project) -> None:
    key = _create(services, project)
    prefix = keys.prefix_of(key) or ""
    with services.database.transaction() as tx:
        assert not keys.revoke(tx, PROJECT, prefix)
        assert keys.revoke(tx, project.id, prefix)
        assert not keys.revoke(tx, project.id, prefix)
    assert _verify(services, key) is None


def test_a_key_ends_at_its_time(services: Services, project: Project) -> None:
    key = _create(services, project, expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert _verify(services, key)
    tell(services, "UPDATE api_keys SET expires_at = now()")
    assert _verify(services, key) is None
