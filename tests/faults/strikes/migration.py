"""A deploy's migration, made by the platform's own way while the programs of before are running."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from factory.store.schema import newest_revision
from tests.faults.client import Accepted
from tests.faults.scene import LONG_S, Found, Scene

OURS = Path(migrations.__file__).parent
NEXT = Path(__file__).with_name("next_version")
REVISION = "9000"
UNDONE = """
SELECT count(*) FROM jobs WHERE next_note IS DISTINCT FROM 'none yet'
"""


def migrate(scene: Scene) -> None:
    """To a revision that no program knows yet."""
    scene.struck()
    command.upgrade(_config(scene), "head")


def _config(scene: Scene) -> Config:
    config = Config()
    config.set_main_option("script_location", str(OURS))
    config.set_main_option("path_separator", "os")
    config.set_main_option(
        "version_locations", os.pathsep.join(map(str, (OURS / "versions", NEXT)))
    )
    config.attributes["url"] = scene.state().database_url
    return config


def verify(scene: Scene, _accepted: Sequence[Accepted]) -> Found:
    """The schema is the new one, old and new jobs have what it adds, and the gateways are ready. Then it goes
    back, for the faults that come after.
    """
    complaints = []
    if scene.ask("SELECT version_num FROM alembic_version") != [(REVISION,)]:
        complaints.append("the schema is not the new one")
    if scene.ask(UNDONE) != [(0,)]:
        complaints.append("jobs without the new column's default")
    if not _becomes_ready(scene):
        complaints.append("a gateway takes a newer schema for a fault")
    command.downgrade(_config(scene), newest_revision())
    return Found(complaints=tuple(complaints))


def _becomes_ready(scene: Scene) -> bool:
    """A server that is slow to answer on a busy machine is no schema."""
    deadline = time.monotonic() + LONG_S
    with scene.stack.client() as client:
        while client.get("/ready").status_code != 200:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return True
