"""`factory db after-restore`: the jobs that may have ended after a restored backup was made, and what to do with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from factory.cli.output import JsonOption, print_json, print_lines, print_rich
from factory.domain.principal import PLATFORM
from factory.errors import InvalidInput

if TYPE_CHECKING:
    from factory.store.restores import InDoubt, Restore

CHOICES = """
Jobs are accepted meanwhile, and none goes out. Decide:
  factory db after-restore --release
      all go on; what had ended is called, and paid for, once more
  factory db after-restore --fail
      all fail as restored_from_backup; their owners may retry them
  factory db after-restore --release-older TIME
      those created before TIME go on, the others fail
Webhooks go on in any case: they are delivered at least once."""

Release = Annotated[bool, typer.Option("--release", help="All jobs go on.")]
Fail = Annotated[bool, typer.Option("--fail", help="All jobs in doubt fail.")]
Older = Annotated[
    str | None,
    typer.Option(
        "--release-older", metavar="TIME", help="Those created before it go on, the others fail."
    ),
]

Hold = Annotated[
    str | None,
    typer.Option(
        "--hold", metavar="TIME", help="Hold all jobs: the database was restored to TIME by hand."
    ),
]


def after_restore(
    release: Release = False,
    fail: Fail = False,
    release_older: Older = None,
    hold: Hold = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs that may have ended after the backup's moment, or decide about them.

    After a restore nothing is dispatched until somebody has decided.
    """
    from factory.cli.operator import operator_services
    from factory.pipeline.upkeep import after_restore as decisions
    from factory.store import restores

    if sum((release, fail, release_older is not None, hold is not None)) > 1:
        raise InvalidInput("choose one of --release, --fail, --release-older and --hold")
    older = None if release_older is None else moment(release_older, "--release-older")
    with operator_services() as services:
        if release:
            decided = decisions.release(services)
        elif fail or older:
            decided = decisions.fail(services, older or decisions.EVER)
        else:
            with services.database.transaction(PLATFORM) as tx:
                if hold:
                    restores.mark(tx, "by hand", moment(hold, "--hold"))
                _show(*_look(tx), as_json=as_json)
            return
    if as_json:
        print_json(asdict(decided))
    else:
        print_lines([f"{decided.decision}: {decided.failed} jobs failed, all others go on"])


def moment(text: str, param: str) -> datetime:
    """An aware time; UTC where the text names no zone. Raises InvalidInput."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is not a time; write it as 2026-01-31T23:59:00Z", param=param
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _look(tx: Any) -> tuple[Sequence[Restore], Sequence[InDoubt]]:
    from factory.store import restores

    held = restores.undecided(tx)
    if not held:
        return [], []
    return held, restores.in_doubt(tx, max(one.restored_to for one in held))


def _show(held: Sequence[Restore], doubts: Sequence[InDoubt], *, as_json: bool) -> None:
    if as_json:
        shown = {
            "held": bool(held),
            "restores": [_plain(asdict(one)) for one in held],
            "in_doubt": [_plain(asdict(one)) for one in doubts],
        }
        print_json(shown)
    elif not held:
        print_lines(["no restore waits for a decision: jobs go out as ever"])
    else:
        _show_text(held, doubts)


def _show_text(held: Sequence[Restore], doubts: Sequence[InDoubt]) -> None:
    from factory.cli.render import table

    for one in held:
        print_lines([f"restored ({one.backup}) at {one.restored_at:%F %T}Z"])
        print_lines([f"as the database was at {one.restored_to:%F %T}Z; what came later is lost"])
    total = sum(one.jobs for one in doubts)
    if not doubts:
        print_lines(
            ["", "no job was open then: `factory db after-restore --release` lets all go on"]
        )
        return
    print_lines(["", f"{total} jobs had not ended then, and may have since:"])
    columns = ("kind", "state", "provider", "model", "jobs", "oldest", "newest")
    print_rich(table(columns, (_cells(one) for one in doubts)))
    print_lines([CHOICES])


def _cells(one: InDoubt) -> tuple[object, ...]:
    span = (f"{when:%F %T}" for when in (one.oldest, one.newest))
    return (one.kind, one.state, one.provider, one.model or "-", one.jobs, *span)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in fields.items()
    }
