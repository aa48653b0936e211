"""Settings from the environment, read once and passed on. The names are those of REQUIREMENTS R6–R9."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from factory.errors import Misconfigured


class Settings(BaseSettings):
    """Every setting, its default and its unit. An environment variable has the field's name in capitals."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    database_url: str
    redis_url: str
    secret_key: str = Field(min_length=32)
    """Signs and derives (API key hashes, webhook secrets). At least 32 characters."""

    openai_api_key: str | None = None
    anthropic_api_key: str | None = None
    google_api_key: str | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_base_url: str = "https://api.anthropic.com"
    gemini_base_url: str = "https://generativelanguage.googleapis.com"
    ollama_base_url: str = "http://127.0.0.1:11434"
    local_llm_base_url: str = "http://127.0.0.1:8091/v1"
    """An OpenAI-compatible server on this machine; it answers for `local/<model>`."""
    extra_models: str = ""
    """Comma-separated `<provider>/<model>` to accept beyond the price list; their cost is unknown."""

    api_base_url: str = "http://127.0.0.1:8000"
    log_level: str = "INFO"
    log_format: str = "json"
    database_pool_size: int = Field(default=10, ge=1)
    webhook_allow_loopback: bool = False
    """For development: webhooks may go to http://127.0.0.1 and localhost."""
    webhook_allowed_hosts: str = ""
    """Receivers inside your network, comma-separated: names, `*.names`, addresses, networks such as 10.1.0.0/16."""
    agents_dir: str = "agents"

    worker_slots: int = Field(default=500, ge=1)
    lease_s: float = Field(default=15.0, gt=0)
    tick_s: float = Field(default=0.5, gt=0)
    """How often the dispatcher looks without being poked."""
    idle_restart_s: float = Field(default=30.0, gt=0)
    """How long a worker may be idle while its lanes hold messages before it restarts itself."""
    max_queued_per_project: int = Field(default=1_000_000, ge=1)
    max_queued: int = Field(default=5_000_000, ge=1)
    """Above these, a POST is answered 429 and 503 with the time that the excess needs."""
    archive_after_s: float = Field(default=3600.0, ge=60, le=86_400)
    """How long an ended job stays among the live ones before it moves to the archive."""
    payload_ttl_days: int = Field(default=30, ge=4)
    """When the input and output of an ended job are removed. A webhook may be on its way for over 3 days."""
    retention_months: int = Field(default=13, ge=1)
    """Whole months that ended jobs, their usage and calls are kept beside the current one."""
    call_timeout_s: float = Field(default=300.0, gt=0)
    rate_limit_give_up_s: float = Field(default=86_400.0, gt=0)
    """How long a job may meet nothing but its provider's rate limits before it fails."""
    completion_answer_max_bytes: int = Field(default=16 * 2**20, ge=1024)
    embedding_answer_max_bytes: int = Field(default=64 * 2**20, ge=1024)
    """How much of a provider's answer is read, after it is unpacked. A longer one ends the call."""
    result_max_bytes: int = Field(default=8 * 2**20, ge=1024)
    """The largest result, as JSON, that a job stores. A larger one fails the job; its usage and cost stay."""
    webhook_max_bytes: int = Field(default=4 * 2**20, ge=4096)
    """The largest body of a webhook. A larger one goes without the job's result, and says so."""
    metrics_port: int = 9090

    @cached_property
    def libpq_url(self) -> str:
        """DATABASE_URL as libpq reads it. Raises Misconfigured."""
        return libpq_url(self.database_url)


def libpq_url(database_url: str) -> str:
    """The URL without the name of a driver. It may name several hosts, of which libpq finds the primary:
    `postgresql://user@a:5432,b:5432/name?target_session_attrs=read-write`. Raises Misconfigured.
    """
    scheme, _, rest = database_url.partition("://")
    if scheme not in ("postgresql", "postgres", "postgresql+psycopg2"):
        raise Misconfigured("DATABASE_URL must start with postgresql://", param="DATABASE_URL")
    return f"postgresql://{rest}"


def load_settings(variables: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment, or from `variables` where they name one.

    Raises Misconfigured that names the variable and the mend.
    """
    given: dict[str, Any] = {name.lower(): value for name, value in (variables or {}).items()}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        raise Misconfigured(f"{name}: {first['msg']}", param=name) from None
