"""Every fault by name: what is broken, while which jobs run, and how they should end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from tests.faults.scene import Expectation, Fault
from tests.faults.strikes import (
    blocked,
    clock,
    disk,
    extra_program,
    families,
    floods,
    migration,
    network,
    outside,
    power,
    programs,
    receivers,
    servers,
    upgrade,
)

NOBODY_DIES = Expectation(nobody_dies=True)
TWO_PROVIDERS = ("openai/gpt-4o-mini", outside.OTHERS)
OTHER_PROVIDERS = (outside.OTHERS, "gemini/gemini-2.5-flash")
NO_ATTEMPT_SPENT = Expectation(nobody_dies=True, first_attempt=True)

FAULTS: Mapping[str, Fault] = {
    "worker_kill": Fault(programs.kill_workers, latency_s=(0.5, 4.0)),
    "zombie": Fault(programs.stop_and_wake_worker, latency_s=(0.5, 6.0)),
    "lost_hints": Fault(programs.lose_hints, busy=True, expected=NOBODY_DIES),
    "gateway_kill": Fault(programs.kill_gateways, busy=True, expected=NOBODY_DIES),
    "dispatcher_kill": Fault(programs.kill_dispatchers, expected=NOBODY_DIES),
    "rolling_deploy": Fault(
        programs.roll_everything,
        busy=True,
        latency_s=(0.5, 4.0),
        verify=migration.verify,
        expected=Expectation(nobody_dies=True, unbroken=True),
    ),
    "upgrade": Fault(
        upgrade.roll,
        busy=True,
        stage=upgrade.loaded,
        verify=upgrade.verify,
        ground=upgrade.release_before,
        impossible=upgrade.impossible,
        # A thousand jobs wait for their turn; that is no time of recovery.
        expected=Expectation(nobody_dies=True, unbroken=True, recovers_in_s=600.0),
    ),
    "poison_job": Fault(
        programs.poison,
        latency_s=(0.5, 3.0),
        share=0.5,
        # Who sits with a poison job twice loses two leases, and then runs alone, in turn.
        expected=Expectation(recovers_in_s=75.0),
    ),
    # Recovery has the start of everything in it.
    "power_loss": Fault(
        power.lose, latency_s=(0.5, 4.0), expected=Expectation(recovers_in_s=120.0)
    ),
    "broker_flush": Fault(servers.flush_broker, expected=NOBODY_DIES),
    "broker_kill": Fault(servers.kill_broker, expected=NOBODY_DIES),
    "broker_stop": Fault(servers.stop_and_wake_broker, expected=NOBODY_DIES),
    "broker_full": Fault(servers.fill_broker, expected=NOBODY_DIES),
    "postgres_kill": Fault(servers.kill_postgres, expected=NOBODY_DIES),
    "postgres_stop": Fault(
        servers.stop_and_wake_postgres, latency_s=(1.0, 25.0), share=0.5, expected=NOBODY_DIES
    ),
    "workers_wake_last": Fault(
        servers.wake_workers_last, latency_s=(1.0, 25.0), share=0.5, expected=NOBODY_DIES
    ),
    "disk_full": Fault(
        disk.fill,
        ground=disk.small_disk,
        impossible=disk.impossible,
        expected=NOBODY_DIES,
    ),
    "connections_postgres": Fault(
        partial(network.break_connections, server="postgres"),
        stage=extra_program.worker_behind_proxies,
        expected=NOBODY_DIES,
    ),
    "connections_redis": Fault(
        partial(network.break_connections, server="redis"),
        stage=extra_program.worker_behind_proxies,
        expected=NOBODY_DIES,
    ),
    "partition_postgres": Fault(
        partial(network.cut_off, server="postgres", seconds=20.0),
        latency_s=(0.5, 6.0),
        stage=extra_program.worker_behind_proxies,
    ),
    "partition_redis": Fault(
        partial(network.cut_off, server="redis", seconds=8.0),
        stage=extra_program.worker_behind_proxies,
        expected=NOBODY_DIES,
    ),
    "clock_jump": Fault(
        clock.jump,
        stage=clock.programs_with_own_clock,
        verify=clock.verify,
        impossible=clock.impossible,
        expected=NOBODY_DIES,
    ),
    "provider_down": Fault(
        outside.outage,
        models=TWO_PROVIDERS,
        stage=outside.calm_before,
        verify=outside.others_are_prompt,
        expected=NOBODY_DIES,
    ),
    "provider_429_storm": Fault(
        outside.storm,
        models=TWO_PROVIDERS,
        stage=outside.calm_before,
        verify=outside.others_are_prompt,
        expected=NO_ATTEMPT_SPENT,
    ),
    "provider_hang": Fault(
        floods.go_on,
        models=OTHER_PROVIDERS,
        stage=floods.hanging_provider,
        verify=floods.others_go_on,
        expected=NOBODY_DIES,
        variables=floods.SMALL_WORKERS,
    ),
    "priority_flood": Fault(
        floods.go_on,
        models=TWO_PROVIDERS,
        priority="low",
        share=0.5,
        stage=floods.urgent_flood,
        verify=floods.others_go_on,
        expected=NOBODY_DIES,
        variables=floods.SMALL_WORKERS,
    ),
    "tenant_flood": Fault(
        floods.go_on,
        latency_s=(0.05, 1.0),
        priority="high",
        share=0.5,
        stage=floods.greedy_tenant,
        verify=floods.others_go_on,
        expected=NOBODY_DIES,
        variables=floods.SMALL_WORKERS,
    ),
    "loop_blocked": Fault(
        blocked.block,
        latency_s=(0.5, 3.0),
        share=0.5,
        stage=blocked.until_the_end,
        verify=blocked.verify,
        # As with a poison job: who sits with it twice runs apart, in turn.
        expected=Expectation(recovers_in_s=75.0),
        variables=blocked.VARIABLES,
    ),
    "waiting": Fault(
        families.kill_workers,
        latency_s=(0.5, 3.0),
        stage=families.allowed,
        verify=families.verify,
        # A parent shows no sign of life before its end, which comes after its children's and its rest.
        expected=Expectation(recovers_in_s=60.0),
        variables=families.VARIABLES,
    ),
    "webhook_receivers": Fault(
        receivers.come_back,
        stage=receivers.four_receivers,
        verify=receivers.verify,
        expected=NOBODY_DIES,
    ),
    "cancel_race": Fault(
        outside.cancel_some, expected=Expectation(frozenset({"succeeded", "cancelled"}))
    ),
}
PAST_JOBS = {"quick": 10_000, "full": 1_000_000}
"""What an installation that is upgraded has in Postgres."""

MANY: Mapping[str, Fault] = {
    # A program needs seconds to start, and one that ends soon waits before: with a kill every 2 s none lives.
    "worker_kill": replace(
        FAULTS["worker_kill"],
        strike=partial(programs.kill_workers, times=48, pause_s=(6.0, 12.0)),
        alone=True,
    ),
    "gateway_kill": replace(
        FAULTS["gateway_kill"], strike=partial(programs.kill_gateways, times=200)
    ),
    "dispatcher_kill": replace(
        FAULTS["dispatcher_kill"],
        strike=partial(programs.kill_dispatchers, times=60, pause_s=(4.0, 8.0)),
    ),
    "power_loss": replace(FAULTS["power_loss"], strike=partial(power.lose, times=5), alone=True),
    "broker_flush": replace(FAULTS["broker_flush"], strike=partial(servers.flush_broker, times=50)),
}
"""How the full run strikes, where it strikes more often."""
