"""What all schemas share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Shown(BaseModel):
    """What is shown: the text under a field is its description."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class ListShown(Shown):
    object: Literal["list"]
    """Always `list`."""
    first_id: str | None
    """The first one here; null for none."""
    last_id: str | None = Field(description="Give it as `after` to read on.")
    has_more: bool
    """Whether there are more behind `last_id`."""
