"""A job's optional fields in a request and in the job that is shown."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, create_model

from factory.domain.job_fields import ASKED, TYPES

Model = TypeVar("Model", bound=BaseModel)


def with_asked_fields(model: type[Model]) -> type[Model]:
    """The model with the fields that callers may give, behind its own ones."""
    given = {name: (_asked(name), None) for name in ASKED}
    return _extended(model, given)


def with_shown_fields(model: type[Model]) -> type[Model]:
    """The model with the same fields as they are shown."""
    shown = {
        name: (Annotated[TYPES[name], Field(description="As it was submitted.")], ...)
        for name in ASKED
    }
    return _extended(model, shown)


def _asked(name: str) -> Any:
    one = ASKED[name]
    return Annotated[TYPES[name], Field(description=one.asked, **one.bounds)]


def _extended(model: type[Model], further: dict[str, Any]) -> type[Model]:
    return create_model(
        model.__name__,
        __base__=model,
        __module__=model.__module__,
        __doc__=model.__doc__,
        **further,
    )


def asked_values(request: BaseModel) -> dict[str, Any]:
    """The optional fields of the request that callers may give, by name."""
    return {name: getattr(request, name) for name in ASKED}
