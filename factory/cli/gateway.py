"""A client of the gateway for commands: JSON over HTTP; problems are raised as errors of the tree."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import certifi
import httpx

from factory.cli.exits import TimedOut
from factory.config.faults import unsendable
from factory.embedded.home import Home, home_directory
from factory.errors import (
    Conflict,
    FactoryError,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthorized,
    Unavailable,
)

ANSWER_S = 30.0
"""Longest wait for an answer, beyond what the request itself asks the gateway to wait."""
CONNECT_S = 5.0
JSON_TYPE = "application/json"

ERRORS: Mapping[int, type[FactoryError]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: InvalidInput,
    415: InvalidInput,
    422: InvalidInput,
    504: TimedOut,
}
RETRYABLE = (429, 502, 503)

Params = Mapping[str, str | int]
NO_PARAMS: Params = {}
NO_HEADERS: Mapping[str, str] = {}


class Gateway:
    """One gateway and the key to it. Methods raise errors of the tree, Unavailable where nobody answers."""

    def __init__(self, url: str, key: str | None, agent: str = "factory") -> None:
        headers = {"User-Agent": agent}
        if key:
            headers["Authorization"] = f"Bearer {_sendable(key)}"
        self.url = url.rstrip("/")
        try:
            # Not through a proxy of the environment: it would see the key.
            self._client = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                trust_env=False,
                verify=trusted_authorities() if self.url.lower().startswith("https:") else True,
            )
        except httpx.InvalidURL as error:
            raise InvalidInput(f"{self.url} is not a URL: {error}", param="--url") from None

    def get(self, path: str, params: Params = NO_PARAMS, *, wait_s: int = 0) -> Any:
        """The answer's JSON. `wait_s`: how long the gateway may hold it until a job has ended."""
        return self._send("GET", path, params=params, wait_s=wait_s)

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        wait_s: int = 0,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Any:
        """Sends JSON; the answer's JSON."""
        return self._send("POST", path, json=body, wait_s=wait_s, headers=headers)

    def post_lines(self, path: str, lines: bytes) -> Any:
        """Sends NDJSON; the answer's JSON."""
        return self._send(
            "POST", path, content=lines, headers={"Content-Type": "application/x-ndjson"}
        )

    def close(self) -> None:
        """Gives the connections back."""
        self._client.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params = NO_PARAMS,
        headers: Mapping[str, str] = NO_HEADERS,
        wait_s: int = 0,
        json: Any = None,
        content: bytes | None = None,
    ) -> Any:
        sent = {**headers, "Prefer": f"wait={wait_s}"} if wait_s else dict(headers)
        timeout = httpx.Timeout(ANSWER_S + wait_s, connect=CONNECT_S)
        try:
            answer = self._client.request(
                method,
                path,
                params=dict(params),
                headers=sent,
                json=json,
                content=content,
                timeout=timeout,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise Unavailable(
                    f"the certificate of {self.url} is not trusted here ({error}); SSL_CERT_FILE names a file of "
                    "authorities that are"
                ) from None
            raise Unavailable(
                f"nothing answers at {self.url}: start the platform with `factory up`, or name the "
                "gateway with --url or FACTORY_URL"
            ) from None
        except httpx.TimeoutException:
            raise TimedOut(f"{self.url} did not answer in time") from None
        except httpx.TransportError as error:
            raise Unavailable(f"the connection to {self.url} broke: {error}") from None
        return _read(answer)


def _sendable(key: str) -> str:
    reason = unsendable(key.strip())
    if reason:
        raise Unauthorized(f"the API key {reason}", param="--key")
    return key.strip()


def trusted_authorities() -> ssl.SSLContext:
    """The certificate authorities of the package certifi, of the system, and of SSL_CERT_FILE."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def _read(answer: httpx.Response) -> Any:
    if answer.is_success:
        try:
            return answer.json() if answer.content else None
        except ValueError:
            reason = "answered something other than JSON: is it the gateway's address?"
            raise Unavailable(f"{answer.request.url} {reason}") from None
    message, param = _problem(answer)
    if answer.status_code in RETRYABLE:
        raise Unavailable(f"{message}; try again in {answer.headers.get('Retry-After', '1')} s")
    kind = ERRORS.get(answer.status_code, FactoryError)
    raise kind(message, param=param)


def _problem(answer: httpx.Response) -> tuple[str, str | None]:
    """Message and field of a problem+json; of another answer, its status and type."""
    try:
        body = answer.json()
        error = body["error"]
        return str(error["message"]), error.get("param")
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}", None


def find_gateway(url: str | None, key: str | None) -> Gateway:
    """The gateway named by options or environment, otherwise the installation that runs here.

    Raises Unavailable if there is none, Unauthorized if there is no key for it.
    """
    url = url or os.environ.get("FACTORY_URL")
    key = key or os.environ.get("FACTORY_API_KEY")
    state = None if url and key else Home(home_directory(os.environ)).running_state()
    if url is None and state is None:
        raise Unavailable(
            "no installation runs here: start it with `factory up`, or name a gateway with --url or "
            "FACTORY_URL"
        )
    if key is None and state is not None and url in (None, state.api_url):
        key = Path(state.api_key_path).read_text().strip()
    if key is None:
        raise Unauthorized("no API key: give --key or set FACTORY_API_KEY (see `factory keys`)")
    return Gateway(url or (state.api_url if state else ""), key)
