"""LiteLLM: the only module that imports it, because that costs 2 s and 150 MB.

Why LiteLLM translates and we send. What differs between providers, and between models of one, is how a request is
spelled: which parameters a model takes, where the system prompt goes, how structured output is asked for. That is
hundreds of cases that others keep up to date, so a `Wire` calls LiteLLM's own transformations for those that have a
file in `factory/providers`. Their answers have few shapes, and people meet them broken in every way: we read those
ourselves (`factory.llm.saying`), to the same text, reason and counts. What does not differ is how bytes travel, and
there LiteLLM costs ten times the call itself: `litellm.acompletion` takes 1.7–2.2 ms of CPU (logging objects, SDK
clients, copies), stops at a few hundred connections per host and retries by itself, so that one call may be billed
three times. One pool of connections per process (`factory.llm.post`) sends each call once. The transformations are
internals of a pinned version: tests/integration/llm holds both ways to the same bytes sent and the same answers. All
other providers go through `litellm.acompletion`, made to try only once.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from multidict import CIMultiDict

from factory.document import encode_json
from factory.domain.message import Completion, Embeddings, Message, Params
from factory.errors import ProviderAuthFailed, Untranslatable
from factory.llm.catalog import Model
from factory.llm.embedding import read_openai_embeddings
from factory.llm.endpoint import Endpoint, Request, key_headers
from factory.llm.lean import lean_imports
from factory.llm.openai_shape import openai_params
from factory.llm.other import OTHER_CREDENTIALS, missing_variable, other_failure
from factory.llm.reading import read_answer, read_body
from factory.llm.saying import ANSWER_TOOL, READERS, WRAPPED, read_openai
from factory.llm.strict import anthropic_takes
from factory.providers import BY_NAME

# LiteLLM reads these when it is imported. Without them it fetches its price list and Anthropic's
# beta headers from the network, and logs at DEBUG.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")
os.environ.setdefault("LITELLM_LOG", "ERROR")

with lean_imports():
    import litellm
    from litellm.llms.anthropic.common_utils import AnthropicModelInfo
    from litellm.llms.custom_httpx.async_client_cleanup import (
        close_litellm_async_clients,
    )
    from litellm.llms.vertex_ai.gemini.transformation import _transform_request_body
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

litellm.suppress_debug_info = True
for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
    # What it logs goes where all lines go, and passes their redaction.
    logging.getLogger(name).handlers.clear()
    logging.getLogger(name).setLevel(logging.WARNING)

# A tokenizer's vocabulary, 14 MB, of which only the copy as text is ever read.
litellm.utils.json_data = None

Json = dict[str, Any]
ANTHROPIC: Final = "anthropic"
GEMINI: Final = "gemini"
NO_KEY = "none"


class Wire:
    """How one model is called. Keeps what LiteLLM would compute again for every call, and no credential."""

    def __init__(self, model: Model, base_url: str) -> None:
        chat = BY_NAME[model.provider].chat
        self.provider = model.provider
        self._model = model
        self._dialect = chat.dialect
        self._read = READERS[chat.dialect]
        self._url = Endpoint(base_url, None).url(chat.path.format(model=model.name))
        self._config = _find_config(model.name, chat.litellm)
        self._supported = frozenset(self._config.get_supported_openai_params(model.name))
        self._headers = CIMultiDict({"Content-Type": "application/json"})
        self._headers.update(_other_headers(self._config, model))
        self._translate = self._translate_gemini if chat.dialect == GEMINI else self._translate_chat

    def request(self, messages: Sequence[Message], params: Params, key: str | None) -> Request:
        """The call in the provider's words, with the credential that it is made with.

        A parameter that the model does not know is left out, not refused: a fallback may lack it. Raises
        Untranslatable for a request that the provider cannot express.
        """
        headers = self._headers.copy()
        headers.update(key_headers(self._model.provider, key))
        try:
            options, wrapped = self._options(openai_params(params), params.json_schema)
            data = self._translate([message.as_dict() for message in messages], options, headers)
            # A copy: orjson's own result keeps its buffer of 4 KB for as long as the call takes.
            body = bytes(memoryview(encode_json(data)))
        # LiteLLM refuses with exceptions of any type. Nothing has been sent yet.
        except Exception as error:  # noqa: BLE001
            raise Untranslatable(
                f"the request cannot be translated for {self._model.provider}: "
                f"{type(error).__name__}: {str(error)[:300]}",
                provider=self._model.provider,
            ) from None
        return Request(self._url, headers, body, wrapped)

    def _options(self, given: Json, schema: Any) -> tuple[Json, bool]:
        """The parameters under the provider's names, and whether the answer comes within a tool's arguments."""
        wanted = {name: value for name, value in given.items() if name in self._supported}
        by_tool = (
            self._dialect == ANTHROPIC
            and "response_format" in wanted
            and not anthropic_takes(schema)
        )
        if by_tool:
            del wanted["response_format"]
        options: Json = self._config.map_openai_params(
            wanted, {}, self._model.name, drop_params=True
        )
        options.pop("json_mode", None)
        if not by_tool:
            return options, False
        wrapped = schema.get("type") != "object"
        return self._with_answer_tool(options, schema, wrapped=wrapped), wrapped

    def _with_answer_tool(self, options: Json, schema: Any, *, wrapped: bool) -> Json:
        """Has Anthropic answer by a tool's arguments: no grammar is enforced on these, but they must be an object."""
        if wrapped:
            rest = {
                word: part for word, part in schema.items() if word not in ("$defs", "definitions")
            }
            around = {word: part for word, part in schema.items() if word not in rest}
            schema = {
                "type": "object",
                "properties": {WRAPPED: rest},
                "required": [WRAPPED],
                **around,
            }
        tool = {"name": ANSWER_TOOL, "input_schema": dict(schema)}
        if AnthropicModelInfo.forced_tool_use_unsupported(self._model.name):
            return {**options, "tools": [tool]}
        choice = {"type": "tool", "name": ANSWER_TOOL}
        return {**options, "tools": [tool], "tool_choice": choice}

    def completion(self, request: Request, body: bytes, latency_ms: int) -> Completion:
        """The answer as a Completion. Raises the ProviderError that a body without an answer means."""
        return read_body(self._model, self._read, body, latency_ms, wrapped=request.wrapped)

    def _translate_chat(
        self, messages: list[Json], options: Json, headers: CIMultiDict[str]
    ) -> Json:
        data: Json = self._config.transform_request(
            model=self._model.name,
            messages=messages,
            optional_params=options,
            litellm_params={},
            headers=headers,
        )
        # Parameters that OpenAI does not have; OpenAI's SDK would merge them into the body.
        data.update(data.pop("extra_body", None) or {})
        return data

    def _translate_gemini(self, messages: list[Json], options: Json, _: CIMultiDict[str]) -> Json:
        body: Any = _transform_request_body(
            model=self._model.name,
            messages=cast(Any, messages),
            optional_params=options,
            custom_llm_provider=GEMINI,
            litellm_params={},
            cached_content=None,
        )
        return dict(body)


def _find_config(model: str, litellm_name: str) -> Any:
    return ProviderConfigManager.get_provider_chat_config(model, LlmProviders(litellm_name))


def _other_headers(config: Any, model: Model) -> CIMultiDict[str]:
    """The headers that LiteLLM sends beside the credential; for this it gets a dummy key."""
    found = CIMultiDict(
        config.validate_environment(
            headers={},
            model=model.name,
            messages=[],
            optional_params={},
            litellm_params={},
            api_key=NO_KEY,
        )
    )
    for name in ("Authorization", *key_headers(model.provider, NO_KEY)):
        found.popall(name, None)
    return found


async def complete_other(
    model: Model,
    messages: Sequence[Message],
    params: Params,
    headers: Mapping[str, str],
    timeout_s: float,
) -> Completion:
    """One try through LiteLLM, for a provider without a file here; LiteLLM finds the key."""
    _demand_credentials(model)
    started = time.monotonic()
    try:
        response = await litellm.acompletion(
            model=model.id,
            messages=[message.as_dict() for message in messages],
            extra_headers=dict(headers),
            timeout=timeout_s,
            max_retries=0,
            num_retries=0,
            drop_params=True,
            **openai_params(params),
        )
    # LiteLLM raises the OpenAI SDK's exceptions, and those of any library that a provider needs.
    except Exception as error:  # noqa: BLE001
        raise other_failure(model.provider, error) from None
    answer = response.model_dump()
    if not (answer.get("usage") or {}).get("prompt_tokens"):
        answer["usage"] = None  # LiteLLM writes 0 where a provider said nothing
    return read_answer(model, read_openai, answer, _since_ms(started))


async def embed_other(
    model: Model, texts: Sequence[str], headers: Mapping[str, str], timeout_s: float
) -> Embeddings:
    """One try through LiteLLM, one vector a text; LiteLLM finds endpoint and key."""
    _demand_credentials(model)
    started = time.monotonic()
    try:
        response = await litellm.aembedding(
            model=model.id,
            input=list(texts),
            extra_headers=dict(headers),
            timeout=timeout_s,
            max_retries=0,
        )
    # LiteLLM raises the OpenAI SDK's exceptions, and those of any library that a provider needs.
    except Exception as error:  # noqa: BLE001
        raise other_failure(model.provider, error) from None
    return read_openai_embeddings(model, texts, response.model_dump(), _since_ms(started))


def demand_bound(model: Model) -> None:
    """Raises Untranslatable where LiteLLM would leave out `max_tokens`, so that nothing bounds the answer.

    For models of providers without a file here.
    """
    taken = litellm.get_supported_openai_params(model.name, model.provider)
    # None: a provider that LiteLLM speaks to as to OpenAI.
    if taken is not None and "max_tokens" not in taken:
        raise Untranslatable(
            f"{model.id} takes no max_tokens, so max_cost_usd cannot be kept: leave max_cost_usd out, "
            "or name another model",
            provider=model.provider,
        )


def _demand_credentials(model: Model) -> None:
    """Raises ProviderAuthFailed that names the variable which is not set: no call is tried without it."""
    if model.provider in OTHER_CREDENTIALS:
        return
    found = litellm.validate_environment(model.id)
    if name := missing_variable(model.provider, found["missing_keys"]):
        raise ProviderAuthFailed(f"{name} is not set", provider=model.provider)


async def close_other() -> None:
    """Closes LiteLLM's connections and clears its cache, from which it would use closed ones again."""
    await close_litellm_async_clients()  # type: ignore[no-untyped-call]
    litellm.in_memory_llm_clients_cache.flush_cache()  # type: ignore[no-untyped-call]


def _since_ms(started: float) -> int:
    """Milliseconds since `started` of the monotonic clock."""
    return round((time.monotonic() - started) * 1000)
