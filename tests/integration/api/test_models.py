"""GET /api/models: what jobs may name, and what it costs."""

from __future__ import annotations

import pytest

from .conftest import Caller, assert_problem


def test_a_models_price_and_limits_are_told(caller: Caller) -> None:
    data = caller.get("/api/models?provider=openai&limit=1000").get_json()["data"]
    [mini] = [model for model in data if model["id"] == "openai/gpt-4o-mini"]
    assert mini["price"]["input_usd_per_million"] == pytest.approx(0.15)
    assert mini["price"]["output_usd_per_million"] == pytest.approx(0.6)
    assert (mini["mode"], mini["max_output_tokens"]) == ("chat", 16384)


def test_pages_go_on_until_all_are_told_once(caller: Caller) -> None:
    ids: list[str] = []
    more, after = True, ""
    while more:
        page = caller.get(f"/api/models?limit=100&after={after}").get_json()
        ids += [model["id"] for model in page["data"]]
        more, after = page["has_more"], page["last_id"]
    assert ids == sorted(set(ids))
    assert {name.partition("/")[0] for name in ids} >= {"openai", "anthropic", "gemini", "local"}
    assert not [name for name in ids if name.startswith("azure")]


def test_other_providers_are_told_where_they_are_asked_for(caller: Caller) -> None:
    data = caller.get("/api/models?provider=mistral&mode=chat").get_json()["data"]
    assert data
    assert {model["provider"] for model in data} == {"mistral"}
    assert caller.get("/api/models?provider=nobody").get_json()["data"] == []


@pytest.mark.parametrize(
    ("query", "field"), [("mode=talk", "mode"), ("limit=0", "limit"), ("x=1", "x")]
)
def test_an_odd_question_is_refused(caller: Caller, query: str, field: str) -> None:
    assert_problem(caller.get(f"/api/models?{query}"), 422, field)


def test_it_takes_a_key(caller: Caller) -> None:
    assert caller.client.get("/api/models").status_code == 401
