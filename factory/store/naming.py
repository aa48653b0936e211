"""Tells Postgres for which projects a transaction speaks.

The setting ends with the transaction, so a pooler may give its connection to anybody afterwards. It travels in front of
a statement, in the same message. `set_config` and not `SET LOCAL`: pg_stat_statements would keep each text of the
latter as a statement of its own, before Postgres 18.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

SETTING = "factory.projects"
"""An array of ids as text, `{…}`. Empty or null where none are named."""


@dataclass(slots=True)
class Naming:
    """What the next statement of a transaction carries in front."""

    text: str
    each: bool
    """Whether each statement is a transaction of its own."""

    def before(self, statement: str) -> str:
        """The statement as it is sent."""
        sent = self.text + statement
        if not self.each:
            self.text = ""
        return sent


def naming(projects: Iterable[UUID], *, each: bool) -> Naming | None:
    """None where no project is to be named."""
    named = ",".join(map(str, projects))
    if not named:
        return None
    return Naming(f"SELECT set_config('{SETTING}', '{{{named}}}', true);", each)
