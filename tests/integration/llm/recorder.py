"""A provider on loopback that keeps what it was sent and says what it was told to say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: its path, its headers in lower case, its body."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Recorder:
    """Answers every POST with `answer`."""

    answer: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    url: str = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.sent.append(Sent(request.path, headers, orjson.loads(await request.read())))
        body = self.answer if isinstance(self.answer, bytes) else orjson.dumps(self.answer)
        return web.Response(
            body=body,
            status=self.status,
            headers=self.headers,
            content_type="application/json",
        )
