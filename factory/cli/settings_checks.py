"""What `factory doctor` says of settings: the env file, wrong values, ways out, and secrets that are replaced."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from factory.cli.check import Check, Status, advised
from factory.config import Settings, resolve, setting_faults
from factory.domain.principal import PLATFORM
from factory.env_file import env_file, use_env_file
from factory.errors import Misconfigured
from factory.services import Services
from factory.store import keys

MOST_NAMED = 5
LISTS = ("WEBHOOK_ALLOWED_HOSTS", "EXTRA_MODELS")


def check_settings() -> Iterator[Check]:
    """The env file that counts here, and every setting that is wrong or weak, by name."""
    try:
        path = env_file(os.environ)
        use_env_file(os.environ)
    except Misconfigured as error:
        yield Check("env file", Status.FAIL, error.message)
        return
    yield Check("env file", Status.OK, str(path.resolve()) if path else "none")
    given = os.environ.get("SECRET_KEY", "")
    if given != given.strip() and given.strip():
        advice = "the white space around it is left out; API keys made with it stay good"
        yield Check("SECRET_KEY", Status.WARN, advice)
    own_server = "DATABASE_URL" not in resolve(os.environ)[0]
    for fault in setting_faults(os.environ):
        if not fault.missing:  # the servers' checks tell what that means here
            weak = own_server and fault.weak
            yield Check(fault.name, Status.WARN if weak else Status.FAIL, fault.reason)


def check_secret(services: Services) -> Iterator[Check]:
    """Whether any API keys were hashed with another SECRET_KEY than the current one."""
    settings = services.settings
    with services.database.transaction(PLATFORM) as tx:
        left = keys.outdated(tx, settings.secret_key, settings.previous_secrets)
    named = ", ".join(f"af_{prefix}_…" for prefix in left[:MOST_NAMED])
    if len(left) > MOST_NAMED:
        named += " …"
    if settings.previous_secrets:
        found = f"{len(left)} API keys depend on SECRET_KEY_PREVIOUS until their next use: {named}"
        done = "all API keys are under the current one; drop SECRET_KEY_PREVIOUS once receivers of "
        yield advised("SECRET_KEY", not left, f"{done}webhooks have the new secret", found)
    elif left:
        found = f"{len(left)} API keys need an earlier secret, in SECRET_KEY_PREVIOUS: {named}"
        yield Check("SECRET_KEY", Status.WARN, found)


def check_ways(settings: Settings) -> Iterator[Check]:
    """How Redis is verified, proxies, receivers and models; only where a setting says so."""
    tls = settings.redis_tls_options
    if tls:
        verified = tls["ssl_cert_reqs"] is not ssl.CERT_NONE
        found = f"verified, by {settings.redis_ca_file or 'the system'}"
        yield advised("Redis TLS", verified, found, "its certificate is not verified")
    for name in LISTS:
        if value := getattr(settings, name.lower()):
            yield Check(name, Status.OK, value)
    for name in ("provider_proxy_url", "webhook_proxy_url"):
        proxy = getattr(settings, name)
        if proxy:
            place = urlsplit(proxy)
            yield Check(name.upper(), Status.OK, f"{place.hostname}:{place.port or 'default port'}")
