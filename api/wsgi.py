"""The application that a WSGI server serves: made when the server imports this, in each process anew."""

from __future__ import annotations

from apiflask import APIFlask

from api import create_app
from factory.config import load_settings
from factory.llm.catalog import load_catalog
from factory.log import configure_logging
from factory.services import connect


def _open() -> APIFlask:
    """A gateway from the environment's settings, with connections of its own."""
    settings = load_settings()
    configure_logging(settings, "gateway")
    return create_app(connect(settings, "gateway"), load_catalog(settings.extra_models))


application = _open()
