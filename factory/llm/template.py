"""Requests from templates: LiteLLM is asked what a request of some shape looks like, not for each one again.

What LiteLLM makes of a request depends on the model, the parameters and the roles. Texts go through it as they are;
the few that may not (`is_plain`) are left to it. So a template is LiteLLM's own body for such a shape, cut where the
texts stand. It holds no credential: it is made of calls without one.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from multidict import CIMultiDict

from factory.document import encode_json
from factory.domain.message import Message, Params, Role
from factory.errors import Untranslatable
from factory.llm.endpoint import Request, key_headers
from factory.llm.provider import Wire

TEMPLATES = 256
"""How many are kept. With the limits below they take 6 MB at most."""
MOST_MESSAGES = 32
MOST_PARAMS_BYTES = 8 * 1024
"""Of the parameters as JSON. Longer ones are schemas, which seldom repeat and take long to translate."""
MOST_BODY_BYTES = 16 * 1024
"""Of a template, without the texts."""
MADE_AT_USE = 2
"""A shape that comes once is not worth a template."""
CHECKED_USES = 4
"""Up to this use of a shape the request is LiteLLM's, and the template's is held against it."""
CHECKED_EACH = 512
"""And later each so many uses."""
ODD_BEGINNINGS = ("<think", "<budget:", "x-anthropic-")
"""LiteLLM takes a thought out of a message for Ollama, and a billing header out of a prompt for Anthropic."""
MARK, MARKED = "text-{}-of-a-template", re.compile(rb'"text-(\d+)-of-a-template"')
PROBE = (
    '{}. «Grüße» 你好 "a\\b" <a href="https://a.b/c.png">{{"x": [1]}}</a>\n\n# End\t'
    + "word " * 50
    + "."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Template:
    """A request without its texts. `pieces`: the number of a message, and what follows its text in the body."""

    url: str
    headers: CIMultiDict[str]
    beginning: bytes
    pieces: tuple[tuple[int, bytes], ...]
    wrapped: bool

    def fill(self, texts: Sequence[bytes], credential: Mapping[str, str]) -> Request:
        """The request with these texts, which are JSON."""
        headers = self.headers.copy()
        headers.update(credential)
        body = [self.beginning]
        for number, rest in self.pieces:
            body += (texts[number], rest)
        return Request(self.url, headers, b"".join(body), self.wrapped)


@dataclass(slots=True)
class Shape:
    """Requests that differ in their texts alone. `template` None: there is none yet, or LiteLLM makes them all."""

    uses: int = 0
    template: Template | None = None

    def is_trusted(self) -> bool:
        """Whether this use needs no look at LiteLLM's own request."""
        return self.uses > CHECKED_USES and self.uses % CHECKED_EACH != 0


class Templates:
    """The shapes that were used last. Used by one event loop."""

    def __init__(self) -> None:
        self._shapes: OrderedDict[tuple[object, ...], Shape] = OrderedDict()
        self.untrusted: set[str] = set()
        """Providers of which a template was wrong."""

    def request(
        self, wire: Wire, messages: Sequence[Message], params: Params, key: str | None
    ) -> Request:
        """What `wire.request` gives, and raises."""
        known = self._identify(wire, messages, params)
        if known is None:
            return wire.request(messages, params, key)
        shape = self._find(known)
        shape.uses += 1
        if shape.uses == MADE_AT_USE:
            shape.template = make_template(wire, [one.role for one in messages], params)
        ours = _fill(shape.template, wire, messages, key)
        if ours is not None and shape.is_trusted():
            return ours
        theirs = wire.request(messages, params, key)
        if ours is not None and not is_same(ours, theirs):
            self._distrust(wire)
        return theirs

    def _identify(
        self, wire: Wire, messages: Sequence[Message], params: Params
    ) -> tuple[object, ...] | None:
        """The name of the shape; None for a request that is left to LiteLLM."""
        if wire.provider in self.untrusted or not 0 < len(messages) <= MOST_MESSAGES:
            return None
        if not all(is_plain(message.content) for message in messages):
            return None
        described = _describe(params)
        if described is None:
            return None
        return (wire, described, *(message.role for message in messages))

    def _find(self, known: tuple[object, ...]) -> Shape:
        shape = self._shapes.setdefault(known, Shape())
        self._shapes.move_to_end(known)
        if len(self._shapes) > TEMPLATES:
            self._shapes.popitem(last=False)
        return shape

    def _distrust(self, wire: Wire) -> None:
        """Leaves the provider to LiteLLM for good: something there depends on texts that is not known here."""
        self.untrusted.add(wire.provider)
        log.error(
            "a request of %s is not what its template gives: LiteLLM makes all of them until the next start",
            wire.provider,
        )


def is_plain(text: str) -> bool:
    """Whether LiteLLM surely takes the text as it is: it changes some that are blank, or end with white space."""
    return bool(text) and text == text.strip() and not text.startswith(ODD_BEGINNINGS)


def make_template(wire: Wire, roles: Sequence[Role], params: Params) -> Template | None:
    """Cut from LiteLLM's request for one set of texts, and held against that for another; None if it does not fit."""
    try:
        marked = wire.request(_say(MARK, roles), params, None)
        probes = _say(PROBE, roles)
        theirs = wire.request(probes, params, None)
    except Untranslatable:
        return None
    template = _cut(marked, len(roles))
    if template is None or not is_same(template.fill(_encode(probes), {}), theirs):
        return None
    return template


def is_same(one: Request, other: Request) -> bool:
    """To the byte, but for the order of headers."""
    a, b = (sorted(request.headers.items()) for request in (one, other))
    return a == b and replace(one, headers=other.headers) == other


def _cut(request: Request, texts: int) -> Template | None:
    """None if a text does not stand in the body just once, as it is."""
    beginning, *rest = MARKED.split(request.body)
    numbers = [int(number) for number in rest[::2]]
    if sorted(numbers) != list(range(texts)) or len(request.body) > MOST_BODY_BYTES:
        return None
    pieces = tuple(zip(numbers, rest[1::2], strict=True))
    return Template(request.url, request.headers, beginning, pieces, request.wrapped)


def _say(words: str, roles: Sequence[Role]) -> list[Message]:
    return [Message(role, words.format(number)) for number, role in enumerate(roles)]


def _encode(messages: Sequence[Message]) -> list[bytes]:
    return [encode_json(message.content) for message in messages]


def _fill(
    template: Template | None, wire: Wire, messages: Sequence[Message], key: str | None
) -> Request | None:
    """None where LiteLLM has to write a header together with the credential's, or cannot write a text."""
    credential = key_headers(wire.provider, key)
    if template is None or any(name in template.headers for name in credential):
        return None
    try:
        return template.fill(_encode(messages), credential)
    except UnicodeEncodeError:
        return None


def _describe(params: Params) -> bytes | None:
    """All that a request may say of the parameters; None where that is long, or no JSON."""
    wanted = (params.temperature, params.top_p, params.max_tokens, params.seed, params.stop)
    try:
        described = encode_json((*wanted, params.json_schema))
    except (TypeError, ValueError, RecursionError):
        return None
    return described if len(described) <= MOST_PARAMS_BYTES else None
