"""The migrations are one line, in order of their numbers: programs wait until the schema has theirs or a higher one."""

from __future__ import annotations

from pathlib import Path

from alembic.script import ScriptDirectory

import migrations


def test_each_migration_has_one_before_it_and_one_is_the_newest() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    files = {path.stem for path in Path(script.versions).glob("[0-9]*.py")}
    newest_first = [revision.revision for revision in script.walk_revisions()]
    assert len(script.get_heads()) == 1
    assert newest_first[::-1] == sorted(name.partition("_")[0] for name in files)
