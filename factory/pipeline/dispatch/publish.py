"""Publishes hints of due jobs: fairly, and as many as the workers can take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from factory.domain.lanes import (
    LOCAL,
    SEARCH,
    Priority,
    all_lanes,
    lane_name,
    lanes_of,
)
from factory.domain.principal import PLATFORM
from factory.domain.quarantine import groups
from factory.domain.turns import Turns
from factory.limits.window import Sizes, Window, windows
from factory.pipeline.dispatch.shares import Shares
from factory.services import Services
from factory.store import hints, lost_hints, quarantine
from factory.store.database import Tx
from factory.store.hints import InFlight, Limits

QUARANTINE_WINDOW = 1024
"""Quarantined jobs that a lane has out at once: two of the largest groups."""

STAND_INS = (lane_name(LOCAL, Priority.HIGH), *all_lanes())
"""Lanes that searches go to if no worker serves theirs: the first one that is served."""


@dataclass(frozen=True, slots=True)
class Message:
    """A hint: ids of jobs to run. Those of quarantined jobs travel apart."""

    job_ids: Sequence[UUID]
    quarantine: bool = False


Send = Callable[[str, Sequence[Message]], None]
"""Puts messages on a lane. Raises Unavailable when the broker does not answer."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of dispatch needs."""

    services: Services
    send: Send
    served: Container[str]
    """Lanes that live workers serve."""
    turns: Turns


def dispatch(services: Services, send: Send, turns: Turns | None = None) -> int:
    """One round over all lanes; gives how many jobs were published. `turns` are kept from round to round.

    Jobs are marked as published, and committed, before the messages are sent: a claim must not wait for a
    dispatcher that waits for Redis. A crash in between loses hints; the search for lost hints finds them. After a
    restore nothing is published until an operator has decided. Raises Unavailable; the marks of what could not be
    sent are taken back.
    """
    with services.database.autocommit(PLATFORM) as tx:
        look = hints.look(tx, services.settings.lease_s)
    if look.held:
        return 0
    workers = with_searches(look.workers)
    out = {lane: one.jobs for lane, one in look.in_flight.items()}
    this = Round(services, send, look.workers, turns or Turns())
    published = _publish_jobs(this, windows(look.due, workers, out))
    for lane in look.quarantined_lanes:
        room = QUARANTINE_WINDOW - look.in_flight.get(lane, InFlight()).quarantined
        if lane in look.workers and room > 0:
            published += len(_publish(this, lane, partial(_pick_quarantined, lane=lane, room=room)))
    return published


def _publish_jobs(this: Round, found: Sequence[Window]) -> int:
    """First gives every lane its share, in the order of turns, as there is often room for only a job or two. Then
    gives lanes with more work what the others have left.
    """
    shares, wanting, published = Shares(found), [], 0
    for one in sorted(found, key=lambda one: this.turns.ahead(one.lane)):
        free = shares.first(one)
        count = _publish_some(this, one, max(one.room, free), free)
        shares.take(one, count)
        published += count
        if count >= free > 0:
            wanting.append((one, count))
    for one, count in wanting:
        if free := shares.rest(one):
            more = _publish_some(this, one, max(one.room - count, free), free)
            shares.take(one, more)
            published += more
    return published


def _publish_some(this: Round, one: Window, window: int, free: int) -> int:
    if window <= 0:
        return 0
    sent = _publish(this, one.lane, partial(_pick_jobs, one=one, window=window, free=free))
    for message in sent:
        this.turns.served(one.lane, len(message.job_ids))
    return sum(len(message.job_ids) for message in sent)


Pick = Callable[[Tx], list[Message]]
"""Marks some jobs of a lane as published."""


def _publish(this: Round, lane: str, pick: Pick) -> list[Message]:
    with this.services.database.autocommit(PLATFORM) as tx:
        messages = pick(tx)
        queues = _queues(this, tx, lane, messages)
    try:
        for queue, some in queues.items():
            this.send(queue, some)
    # Whatever went wrong, even a stop of the program: what was not sent must not count as sent.
    except BaseException:
        with this.services.database.autocommit(PLATFORM) as tx:
            lost_hints.unpublish(
                tx, lane, [job_id for message in messages for job_id in message.job_ids]
            )
        raise
    return messages


def _pick_jobs(tx: Tx, one: Window, window: int, free: int) -> list[Message]:
    job_ids = hints.publish(tx, one.lane, window, Limits(free, one.full, one.few))
    size = _message_size(one, len(job_ids), free)
    return [Message(job_ids[at : at + size]) for at in range(0, len(job_ids), size)]


def _message_size(one: Window, jobs: int, free: int) -> int:
    """How many of the jobs a message carries. Where they may have to wait for slots they go one by one in `normal`
    lanes: a message is taken whole, and what exceeds a worker's slots would keep more urgent jobs out.
    """
    if one.apart > 1 and jobs > free:
        return 1
    return max(1, min(one.message, jobs // one.apart))


def _pick_quarantined(tx: Tx, lane: str, room: int) -> list[Message]:
    found = groups(quarantine.publish(tx, lane, room))
    return [Message(group, quarantine=True) for group in found]


def with_searches(workers: Mapping[str, Sizes]) -> Mapping[str, Sizes]:
    """Adds workers for the searches' lanes if none serves them: those of a stand-in lane.

    Installations that list their lanes, or run workers of earlier versions, have no workers for searches. A hint need
    not lie on its job's lane, as the claim alone decides.
    """
    stand_in = next((lane for lane in STAND_INS if workers.get(lane)), None)
    if stand_in is None:
        return workers
    return dict.fromkeys(lanes_of(SEARCH), workers[stand_in]) | dict(workers)


def _queues(
    this: Round, tx: Tx, lane: str, messages: Sequence[Message]
) -> Mapping[str, Sequence[Message]]:
    """Messages by the lane they are sent to: their own; for searches that nobody serves, their provider's."""
    if not messages:
        return {}
    if lane in this.served:
        return {lane: messages}
    providers = hints.providers(tx, [one for message in messages for one in message.job_ids])
    found = defaultdict(list)
    for job_id, provider in providers.items():
        own = lane_name(provider, Priority.HIGH)
        queue = own if own in this.served else next(one for one in STAND_INS if one in this.served)
        found[queue].append(Message([job_id]))
    return found
