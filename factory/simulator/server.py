"""The providers on one loopback port, each under its own base path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from factory.errors import FactoryError, InvalidInput
from factory.simulator.exchange import SIGNATURE, Exchange
from factory.simulator.journal import Counts, Journal
from factory.simulator.playbook import Playbook
from factory.simulator.provider import JSON_TYPE, Call, Endpoint, Json, Provider, Reply
from factory.simulator.providers import PROVIDERS
from factory.simulator.script import NO_LATENCY, Latency, find_directive

_LARGEST_BODY_BYTES = 64 * 1024 * 1024
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """`log` is where every call is written, None is nowhere; `seed` decides all texts and latencies.

    `latency` is what a call takes where no script says otherwise, `scripts` are the first ones in
    force, by provider.
    """

    log: Path | None
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    latency: Latency = NO_LATENCY
    scripts: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    """Whether nobody asks where it listens."""


class Simulator:
    """A server to start and to stop within one event loop."""

    def __init__(self, config: SimulatorConfig) -> None:
        self._config = config
        self._playbook = Playbook([provider.name for provider in PROVIDERS], config.latency)
        self._playbook.replace(config.scripts)
        self._calls = count(1)
        # Call ids stay unique in a log that several runs append to.
        self._run = uuid4().hex[:8]

    async def start(self) -> str:
        """Listens, and gives the base URL (`http://host:port`, no slash at the end)."""
        log = self._config.log
        self._journal = Journal(log) if log else Counts()
        # Cancelled handlers are how the simulator learns that a client has gone.
        self._runner = web.AppRunner(
            self._build_app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.host, self._config.port, backlog=_BACKLOG)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def stop(self) -> None:
        """Ends open calls, writes the log's last lines and closes it."""
        await self._runner.cleanup()
        await self._journal.close()

    def replace_scripts(self, scripts: Mapping[str, str]) -> None:
        """Puts these scripts in force, by provider, and ends all others; raises InvalidInput."""
        self._playbook.replace(scripts)

    def _build_app(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_BODY_BYTES)
        for provider in PROVIDERS:
            for path, endpoint in provider.endpoints.items():
                handler = partial(self._serve, provider, endpoint)
                app.router.add_post(f"/{provider.name}{path}", handler)
            for path, endpoint in provider.listings.items():
                handler = partial(self._serve, provider, endpoint)
                app.router.add_get(f"/{provider.name}{path}", handler)
        app.router.add_get("/_simulator/calls", self._show_calls)
        app.router.add_get("/_simulator/script", self._show_scripts)
        app.router.add_put("/_simulator/script", self._put_scripts)
        app.router.add_delete("/_simulator/script", self._delete_scripts)
        return app

    async def _serve(
        self, provider: Provider, endpoint: Endpoint, request: web.Request
    ) -> web.StreamResponse:
        raw = await request.read()
        call = self._read_call(request, raw)
        exchange = Exchange(request, provider, endpoint, call, self._journal)
        try:
            provider.authorize(call)
            _check_json(raw, call)
            key = call.headers.get("x-factory-job") or call.digest.hex()
            plan = self._playbook.plan(provider.name, _own_scripts(call, raw), key, call.digest)
            reply = _reply(endpoint, replace(call, tool=plan.act.tool) if plan.act else call)
        except FactoryError as error:
            return await exchange.refuse(error)
        return await exchange.play(plan, reply)

    def _read_call(self, request: web.Request, raw: bytes) -> Call:
        body = _parse_object(raw)
        model = request.match_info.get("model") or body.get("model") or ""
        salt = self._config.seed.to_bytes(8, signed=True)
        return Call(
            id=f"{self._run}{next(self._calls):08x}",
            headers=request.headers,
            query=request.query,
            model=str(model),
            body=body,
            digest=blake2b(raw, digest_size=16, salt=salt).digest(),
        )

    async def _show_calls(self, request: web.Request) -> web.Response:
        job = request.query.get("job")
        return _json({"job": job, "counts": self._journal.counts(job)})

    async def _show_scripts(self, _request: web.Request) -> web.Response:
        return _json(self._playbook.texts())

    async def _put_scripts(self, request: web.Request) -> web.Response:
        scripts = _parse_object(await request.read())
        try:
            self._playbook.replace(scripts)
        except FactoryError as error:
            return _json({"error": error.message}, status=400)
        return _json(self._playbook.texts())

    async def _delete_scripts(self, _request: web.Request) -> web.Response:
        self._playbook.replace({})
        return web.Response(status=204, headers=SIGNATURE)


def _own_scripts(call: Call, raw: bytes) -> list[str]:
    """The scripts that a call brings itself: its header before its prompt."""
    own = (call.headers.get("x-simulate"), find_directive(raw))
    return [script for script in own if script is not None]


def _reply(endpoint: Endpoint, call: Call) -> Reply:
    try:
        return endpoint.reply(call)
    except (AttributeError, KeyError, TypeError) as error:
        # The endpoints read a body as documented; one of another shape trips them somewhere.
        raise InvalidInput(f"The request's body has another shape: {error}") from error


def _check_json(raw: bytes, call: Call) -> None:
    if raw and not call.body and raw.strip() != b"{}":
        raise InvalidInput("We could not parse the JSON body of your request.")


def _parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`, an empty one for anything else."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _json(body: Json, status: int = 200) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=SIGNATURE | {"Content-Type": JSON_TYPE}
    )
