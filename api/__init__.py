"""The HTTP gateway: parses, authenticates, renders. What a call does is in `factory.pipeline.accept`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apiflask import APIFlask
from werkzeug.middleware.proxy_fix import ProxyFix

from api import (
    agents,
    bulk,
    direct,
    health,
    jobs,
    keys,
    login,
    models,
    openapi,
    problems,
    queues,
    search,
    traffic,
    users,
    workers,
)
from api.body import StrictRequest
from api.gateway import gateway_of, open_gateway
from factory import __version__
from factory.llm.catalog import Catalog
from factory.services import Services

RESOURCES = (
    jobs.blueprint,
    bulk.blueprint,
    queues.blueprint,
    workers.blueprint,
    agents.blueprint,
    models.blueprint,
    search.blueprint,
    keys.blueprint,
    login.blueprint,
    users.blueprint,
    health.blueprint,
)


class _App(APIFlask):
    """No view is a coroutine here; Flask would check that five times a request."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(services: Services, catalog: Catalog, *, all_by_flask: bool = False) -> APIFlask:
    """The gateway over these services, which stay the caller's; end it with `gateway_of(app).close()`.

    `all_by_flask`: without `api.direct`, to compare the answers.
    """
    app = _App(
        "api",
        title=openapi.TITLE,
        version=__version__,
        static_folder=None,  # type: ignore[arg-type]  # as Flask takes it
    )
    app.request_class = StrictRequest
    # Werkzeug would redirect //api//jobs, to the host that the request's Host header names.
    app.url_map.merge_slashes = False
    app.extensions["gateway"] = open_gateway(services, catalog)
    openapi.describe(app, services.settings.api_base_url)
    if not all_by_flask:
        app.wsgi_app = direct.before(app.wsgi_app, gateway_of(app))  # type: ignore[method-assign]
    traffic.watch(app)
    if proxies := services.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)  # type: ignore[method-assign]
    problems.render_errors(app)
    for resource in RESOURCES:
        app.register_blueprint(resource)
    return app
