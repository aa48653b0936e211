"""The scripts in force, and how often each has struck."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from factory.errors import InvalidInput
from factory.simulator.script import Act, Latency, Script, draw_latency_ms, parse_script


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen to one call."""

    latency_ms: float
    act: Act | None


class Playbook:
    """Scripts by provider, changed at run time; the counts behind `times=N`."""

    def __init__(self, providers: Sequence[str], latency: Latency) -> None:
        self._providers = frozenset(providers)
        self._default = Script("", latency=latency)
        self._scripts: dict[str, Script] = {}
        self._strikes: Counter[tuple[str, str, str]] = Counter()

    def replace(self, texts: Mapping[str, str]) -> None:
        """Puts one script per provider in force and ends all others; their counts start anew.

        Raises InvalidInput for an unknown provider or a script outside the grammar.
        """
        for unknown in texts.keys() - self._providers:
            raise InvalidInput(f"unknown provider {unknown!r}", param=unknown)
        self._scripts = {name: parse_script(text) for name, text in texts.items()}
        self._strikes.clear()

    def texts(self) -> dict[str, str]:
        """The scripts in force, by provider."""
        return {name: script.text for name, script in self._scripts.items()}

    def plan(self, provider: str, own: Sequence[str], key: str, digest: bytes) -> Plan:
        """The plan for a call that brings its `own` scripts, the most specific first.

        Each of latency, tail and act comes from the first script that names it, the provider's
        after the call's own. `key` tells which calls count together under `times=N`.
        """
        scripts = [parse_script(text) for text in own]
        if provider in self._scripts:
            scripts.append(self._scripts[provider])
        scripts.append(self._default)
        latency = next(script.latency for script in scripts if script.latency)
        tail = next((script.tail for script in scripts if script.tail), None)
        act = next((s.act for s in scripts if s.act and self._strikes_now(s, provider, key)), None)
        if latency.high_ms == latency.low_ms and tail is None:
            return Plan(latency.low_ms, act)
        return Plan(draw_latency_ms(latency, tail, Random(digest).random), act)  # noqa: S311

    def _strikes_now(self, script: Script, provider: str, key: str) -> bool:
        if script.act is None or script.act.times is None:
            return script.act is not None
        strike = (provider, script.text, key)
        self._strikes[strike] += 1
        return self._strikes[strike] <= script.act.times
