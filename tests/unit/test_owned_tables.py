"""Every table belongs to customers, and says which one each row is of, or to the installation."""

from __future__ import annotations

from factory.store.all_tables import metadata

INSTALLATIONS = {
    "projects": "the list of owners itself",
    "agents": "read from the installation's files, and offered to every project",
    "agent_versions": "as the agents that they are of",
    "workers": "its processes",
    "counters": "its metrics, which name lanes and models and no project",
    "backups": "its backups",
    "restores": "times at which it came out of one",
    "users": "people log in to the installation; which projects are theirs, members will say",
    "invitations": "as the users that they are for",
    "sessions": "as the users that they are of",
    "login_attempts": "made before anybody is known",
}
"""The tables that are the installation's own, and why."""


def test_each_row_of_a_customer_has_a_project() -> None:
    """A new table has a `project_id`, or stands above with a reason."""
    unowned = {name for name, one in metadata.tables.items() if "project_id" not in one.columns}
    assert unowned == set(INSTALLATIONS)
