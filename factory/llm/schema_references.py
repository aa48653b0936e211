"""Where a schema's references lead, and how large it is with each replaced by what it names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from factory.errors import InvalidInput

if TYPE_CHECKING:
    from factory.llm.schema_words import Place


def json_bytes(value: Any) -> int:
    """How long a value is as JSON, about, without what is in it."""
    if not isinstance(value, str):
        return 8
    return len(value) + 3 if value.isascii() else len(value.encode(errors="replace")) + 3


@dataclass(frozen=True, slots=True)
class _Unit:
    """A schema by itself: what stands in it, and the references in it with their depths."""

    bytes: int
    values: int
    depth: int
    references: Sequence[tuple[str, int]]


@dataclass(slots=True)
class Size:
    """How large a schema is with its references replaced."""

    bytes: int = 0
    values: int = 0
    references: int = 0
    depth: int = 0
    recursive: bool = False

    def add(self, unit: _Unit, depth: int) -> None:
        """Counts a unit that stands at a depth."""
        self.bytes += unit.bytes
        self.values += unit.values
        self.depth = max(self.depth, depth + unit.depth)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a size may be at most."""

    references: int
    bytes: int
    depth: int

    def check(self, size: Size) -> None:
        """Raises InvalidInput that names the bound."""
        if size.references > self.references:
            raise InvalidInput(
                f"its references, each followed, are more than {self.references:,}: types that refer to "
                "each other multiply; name what they share once, in one definition"
            )
        if size.depth > self.depth:
            raise InvalidInput(
                f"with its references replaced it is nested deeper than {self.depth} levels"
            )
        if size.bytes > self.bytes:
            raise InvalidInput(
                f"with its references replaced it has more than {self.bytes:,} bytes"
            )


@dataclass(slots=True)
class References:
    """The references of one schema. Only those within it are followed; nothing is fetched."""

    root: Mapping[str, Any]
    definitions: int = field(init=False)
    _named: dict[str, dict[int, Any]] = field(init=False)
    """By its identity, what stands under a name in any `$defs` or `definitions`: LiteLLM looks for the last part of a reference."""
    _units: dict[int, _Unit] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._named = {}
        for node in _nodes(self.root):
            for word in ("$defs", "definitions"):
                if isinstance(node, dict) and isinstance(node.get(word), dict):
                    for name, target in node[word].items():
                        self._named.setdefault(name, {})[id(target)] = target
        self.definitions = len(self._named)

    def target(self, reference: Any) -> Any:
        """What `#/…` names (RFC 6901). Raises InvalidInput if that is nothing."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise InvalidInput(
                f"$ref {reference!r:.100} does not begin with #/: only those are followed"
            )
        node: Any = self.root
        for part in unquote(reference[1:]).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(name)] if isinstance(node, list) else node[name]
            except (LookupError, TypeError, ValueError):
                raise InvalidInput(f"$ref {reference!r:.100} names nothing in the schema") from None
        return node

    def expand(self, bounds: Bounds) -> Size:
        """The size with every reference replaced, but for those within what they name.

        Raises InvalidInput at the first bound that is exceeded, so in bounded time.
        """
        size = Size()
        path: set[int] = set()
        waiting: list[tuple[Any, int, bool]] = [(self.root, 0, False)]
        while waiting:
            node, depth, is_left = waiting.pop()
            if is_left:
                path.discard(id(node))
            elif id(node) in path:
                size.recursive = True
            else:
                path.add(id(node))
                waiting.append((node, depth, True))
                unit = self._unit(node)
                size.add(unit, depth)
                bounds.check(size)
                for reference, at in unit.references:
                    named, other = self._targets(reference)
                    # Before they are gathered: thousands may bear one name, and thousands refer to it.
                    size.references += max(1, len(named) + len(other))
                    bounds.check(size)
                    waiting += [
                        (target, depth + at + 1, False)
                        for target in itertools.chain(named.values(), other)
                    ]
        return size

    def _targets(self, reference: str) -> tuple[Mapping[int, Any], Sequence[Any]]:
        """What LiteLLM takes for it, by identity, and what it points at if that is something else."""
        named = self._named.get(reference.rsplit("/", 1)[-1], {})
        try:
            target = self.target(reference)
        except InvalidInput:
            return named, ()  # it stands where no schema stands, such as in an example
        return named, () if id(target) in named else (target,)

    def _unit(self, node: Any) -> _Unit:
        known = self._units.get(id(node))
        if known is None:
            known = self._units[id(node)] = self._measure(node)
        return known

    def _measure(self, node: Any) -> _Unit:
        """Of the root, without its definitions: they count where they are named."""
        size = values = deepest = 0
        references = []
        waiting: list[tuple[Any, int]] = [(node, 0)]
        while waiting:
            part, depth = waiting.pop()
            values += 1
            size += json_bytes(part)
            deepest = max(deepest, depth)
            if isinstance(part, dict):
                for name, value in part.items():
                    if part is self.root and name == "$defs":
                        continue
                    size += json_bytes(name)
                    waiting.append((value, depth + 1))
                if isinstance(part.get("$ref"), str):
                    references.append((part["$ref"], depth))
            elif isinstance(part, list):
                waiting += [(value, depth + 1) for value in part]
        return _Unit(size, values, deepest, references)


def _nodes(root: Any) -> Iterator[Any]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, dict):
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def refuse_endless(found: Place) -> None:
    """Raises InvalidInput for a schema that leads back to itself without going into the value."""
    done: set[int] = set()
    for start in list(found.in_place):
        path: set[int] = set()
        waiting: list[tuple[int, bool]] = [(start, False)]
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                path.discard(node)
                done.add(node)
                continue
            if node in path:
                raise InvalidInput(
                    "a $ref in it leads back to itself: no check of a value would end"
                )
            if node in done:
                continue
            path.add(node)
            waiting.append((node, True))
            waiting += [
                (id(following), False)
                for following in found.in_place.get(node, ())
                if isinstance(following, dict)
            ]
