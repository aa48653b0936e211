"""Models that are defined leanly are built on their first use; others are built as ever."""

from __future__ import annotations

import gc

from pydantic import BaseModel

from factory.llm.lean import lean_imports


def test_a_model_is_built_when_it_is_first_used() -> None:
    with lean_imports():

        class Late(BaseModel):
            size: int

    class Soon(BaseModel):
        size: int

    assert not Late.__pydantic_complete__
    assert Soon.__pydantic_complete__
    assert Late(size=3).size == 3
    assert Late.__pydantic_complete__


def test_the_collector_is_as_it_was() -> None:
    with lean_imports():
        assert not gc.isenabled()
    assert gc.isenabled()
