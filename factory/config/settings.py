"""Every setting: its name, its default, its unit. `docs/settings.md` is made of this file.

To add one: a field with a docstring, then `python -m factory.config.reference`. Those of a provider are declared in
its file, `factory/providers`. Text comes without the white space and quotes around it, and an empty variable is one
that is not set; nothing here need care.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from factory.config.addresses import libpq_url
from factory.config.faults import SECRET_LETTERS
from factory.config.limiter import beside
from factory.config.provider_fields import HttpUrl, provider_fields
from factory.config.tls import redis_tls_options
from factory.config.values import (
    check_ca_file,
    check_database_url,
    check_models,
    check_proxy_url,
    check_receivers,
    check_redis_url,
    in_small_letters,
    level_name,
)

ProxyUrl = Annotated[str, AfterValidator(check_proxy_url)]
Port = Annotated[int, Field(ge=1, le=65_535)]
GATEWAY_PROCESSES = 2
YEAR_S = 366 * 86_400
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Format = Literal["json", "text"]


class PlatformSettings(BaseModel):
    """All but those of the providers. The environment variable has the field's name in capitals."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    # Servers and secrets

    database_url: Annotated[str, AfterValidator(check_database_url)]
    """`postgresql://user:password@host:5432/name`; several hosts as libpq takes them. Or the parts, see below."""
    redis_url: Annotated[str, AfterValidator(check_redis_url)]
    """`redis://`, `rediss://` (TLS), `unix://`, or `sentinel://a:26379;sentinel://b:26379/0?master_name=…`.
    Or the parts, see below."""
    redis_tls: bool = False
    """TLS to the servers that REDIS_HOST and LIMITER_REDIS_HOST name, or to Sentinels and what they name."""
    redis_ca_file: Annotated[str, AfterValidator(check_ca_file)] | None = None
    """Certificate authorities, in PEM, that are trusted to vouch for Redis, beside the system's."""
    redis_sentinel_password: str | None = None
    """Of the Sentinels themselves, where they ask for one (`requirepass`). The servers' own stands in REDIS_URL."""
    limiter_redis_url: Annotated[str, AfterValidator(check_redis_url)] | None = None
    """Where workers share rate limits, in the forms of REDIS_URL; never the broker's database. Without it, the
    next database of the broker's server. Or the parts, see below."""
    secret_key: str = Field(min_length=SECRET_LETTERS)
    """Signs and derives (API key hashes, webhook secrets). At least 32 random characters:
    `openssl rand -hex 32`."""
    secret_key_previous: str | None = None
    """The earlier SECRET_KEY while it is replaced: its API keys are good, and webhooks carry both signatures."""
    jwt_secret_key: str | None = Field(default=None, min_length=SECRET_LETTERS)
    """Signs the tokens of people who log in. At least 32 random characters: `openssl rand -hex 32`. Without it they are
    signed with a key that is derived from SECRET_KEY."""
    jwt_secret_key_previous: str | None = None
    """Another JWT_SECRET_KEY whose tokens are good too, while one is replaced."""
    database_pool_size: int = Field(default=10, ge=1, le=1000)
    """Connections to Postgres that one process keeps."""
    allow_weak_settings: bool = False
    """For development: a placeholder as a provider's key counts as none, and a weak SECRET_KEY is taken.
    `factory up` sets it where it runs its own Postgres, and warns."""

    # Providers

    extra_models: Annotated[str, AfterValidator(check_models)] = ""
    """Comma-separated `<provider>/<model>` to accept beyond the price list; their cost is unknown."""

    provider_proxy_url: ProxyUrl | None = None
    """`http://user:password@host:3128`: calls to providers go through this proxy, LiteLLM's too."""
    webhook_proxy_url: ProxyUrl | None = None
    """The same for webhooks, which take no other: they are led to the address that was checked, by CONNECT."""
    no_proxy: str = ""
    """What is called directly all the same: comma-separated names, addresses, networks. This machine always is."""

    # Gateway, logs, agents

    web_concurrency: int | None = Field(default=None, ge=1, le=1000)
    """Processes of the gateway, 2 by default."""
    worker_count: int | None = Field(default=None, ge=1, le=1000)
    """The same by another name; WEB_CONCURRENCY goes first."""
    api_base_url: HttpUrl = "http://127.0.0.1:8000"
    """Where callers reach the gateway; it is used in links."""
    trusted_proxies: int = Field(default=0, ge=0, le=10)
    """How many proxies stand before the gateway, each adding to X-Forwarded-For: the client's address in logs is
    taken from there. 1 behind nginx; without a proxy 0, or any client could name itself."""
    log_level: Annotated[Level, BeforeValidator(level_name)] = "INFO"
    """The least severe lines that are logged."""
    log_format: Annotated[Format, BeforeValidator(in_small_letters)] = "json"
    """One JSON document a line, or text for people."""
    log_dir: str | None = None
    """A directory where each kind of program appends to `<program>.log`; without one, logs go to stderr."""
    enable_metrics: bool = True
    """Whether the gateway counts and times its requests, and serves `/metrics` of all its processes."""
    gateway_metrics_port: Port = 9090
    """Where it does. The exporter needs another port on the same machine."""
    metrics_host: str = "127.0.0.1"
    """Where gateway and exporter serve `/metrics`: `0.0.0.0` in a container. Never on a public address."""
    header_timeout_s: float = Field(default=10.0, gt=0, le=YEAR_S)
    """How long a client may take to send a request's headers, from their first byte on."""
    body_timeout_s: float = Field(default=30.0, gt=0, le=YEAR_S)
    """How long a client may take to send a body, and a second more for each 64 KiB that it announces."""
    send_timeout_s: float = Field(default=30.0, gt=0, le=YEAR_S)
    """How long a client may take to read an answer, and a second more for each 64 KiB of it."""
    webhook_allow_loopback: bool = False
    """For development: webhooks may go to http://127.0.0.1 and localhost."""
    webhook_allowed_hosts: Annotated[str, AfterValidator(check_receivers)] = ""
    """Receivers inside your network, comma-separated: names, `*.names`, addresses, networks such as 10.1.0.0/16."""
    agents_dir: str = "agents"
    """Where agents' YAML files are."""

    # Workers and dispatchers

    worker_slots: int = Field(default=500, ge=1, le=100_000)
    """Jobs in flight at most, for each worker."""
    lease_s: float = Field(default=15.0, gt=0, le=YEAR_S)
    """How long a worker that is silent keeps its jobs."""
    tick_s: float = Field(default=0.5, gt=0, le=YEAR_S)
    """How often the dispatcher looks for work without a wake-up."""
    idle_restart_s: float = Field(default=30.0, gt=0, le=YEAR_S)
    """How long a worker may be idle while its lanes hold messages before it restarts itself."""
    loop_restart_s: float = Field(default=10.0, ge=1, le=600)
    """How long code of one job may block the loop of a worker, and so all its jobs, before it restarts itself."""
    max_queued_per_project: int = Field(default=1_000_000, ge=1, le=10**12)
    """Jobs that a project may have queued; above, a POST is answered 429 with the time that the excess needs."""
    max_queued: int = Field(default=5_000_000, ge=1, le=10**12)
    """Jobs that all may have queued; above, a POST is answered 503 with the time that the excess needs."""
    archive_after_s: float = Field(default=3600.0, ge=60, le=86_400)
    """How long a job that failed or was cancelled stays among the live ones before it moves to the archive."""
    payload_ttl_days: int = Field(default=30, ge=4, le=36_500)
    """When the input and output of an ended job are removed. A webhook may be on its way for over 3 days."""
    retention_months: int = Field(default=13, ge=1, le=1200)
    """Whole months that ended jobs, their usage and calls are kept beside the current one."""
    call_timeout_s: float = Field(default=300.0, gt=0, le=YEAR_S)
    """How long a call to a provider may take, unless a job says less."""
    drain_s: float | None = Field(default=None, ge=0, le=YEAR_S)
    """How long a worker that is told to stop waits for its calls. Then it cuts them, and their jobs go back to be
    called, and paid for, once more. Without it a worker waits as long as a call takes."""
    rate_limit_give_up_s: float = Field(default=86_400.0, gt=0, le=YEAR_S)
    """How long a job may meet nothing but its provider's rate limits before it fails."""
    completion_answer_max_bytes: int = Field(default=16 * 2**20, ge=1024, le=2**31)
    """How much of a provider's answer to a completion is read, after it is unpacked. A longer one ends the call. Nothing
    bounds the answers of a provider that LiteLLM calls (`deepseek/…`, any without a guide here)."""
    embedding_answer_max_bytes: int = Field(default=64 * 2**20, ge=1024, le=2**31)
    """The same of embeddings, with the same exception."""
    result_max_bytes: int = Field(default=8 * 2**20, ge=1024, le=2**31)
    """The largest result, as JSON, that a job stores. A larger one fails the job; its usage and cost stay."""
    webhook_max_bytes: int = Field(default=4 * 2**20, ge=4096, le=2**31)
    """The largest body of a webhook. A larger one goes without the job's result, and says so."""
    metrics_port: Port = 9090
    """Where the exporter serves `/metrics`."""

    # Backups

    backup_dir: str = "backups"
    """Where `factory backup` keeps backups, and Postgres its archived log, in `wal`."""
    backup_recipient: str | None = None
    """The age public key (`age1…`) that backups are encrypted for. `factory backup key FILE` makes one."""
    backup_identity_file: str | None = None
    """The file with the secret key of it, needed to verify and to restore. Keep it elsewhere."""
    backup_keep_days: int = Field(default=14, ge=1, le=36_500)
    """When `factory backup prune` removes a backup. The newest of each kind stays."""

    @cached_property
    def redis_tls_options(self) -> dict[str, Any]:
        """For redis-py and kombu alike; empty without TLS."""
        ca_file = self.redis_ca_file
        return redis_tls_options(self.redis_url, tls=self.redis_tls, ca_file=ca_file)

    @cached_property
    def limiter_url(self) -> str:
        """LIMITER_REDIS_URL, or the next database of the broker's server."""
        return self.limiter_redis_url or beside(self.redis_url)

    @cached_property
    def limiter_tls_options(self) -> dict[str, Any]:
        """As `redis_tls_options`; REDIS_TLS is not for a URL that says redis://."""
        tls = self.redis_tls and self.limiter_url.startswith("sentinel://")
        return redis_tls_options(self.limiter_url, tls=tls, ca_file=self.redis_ca_file)

    @cached_property
    def previous_secrets(self) -> tuple[str, ...]:
        """Beside the current one: as long as it is replaced."""
        earlier = self.secret_key_previous
        return (earlier,) if earlier and earlier != self.secret_key else ()

    @cached_property
    def token_secrets(self) -> tuple[str, ...]:
        """What keys for people's tokens are derived from; those of the first one sign."""
        if self.jwt_secret_key is None:
            return (self.secret_key, *self.previous_secrets)
        earlier = self.jwt_secret_key_previous
        given = (earlier,) if earlier and earlier != self.jwt_secret_key else ()
        return (self.jwt_secret_key, *given)

    @property
    def gateway_processes(self) -> int:
        return self.web_concurrency or self.worker_count or GATEWAY_PROCESSES

    @cached_property
    def libpq_url(self) -> str:
        """DATABASE_URL as libpq reads it. Raises Misconfigured."""
        return libpq_url(self.database_url)

    def of_provider(self, setting: str) -> str | None:
        """A setting that a provider's file names, such as OPENAI_API_KEY."""
        value: str | None = getattr(self, setting.lower())
        return value


if TYPE_CHECKING:
    Settings = PlatformSettings
else:
    Settings = create_model(
        "Settings",
        __base__=PlatformSettings,
        __module__=__name__,
        __doc__="Every setting, its default and its unit.",
        **provider_fields(),
    )
