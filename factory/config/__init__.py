"""Settings of all programs. Each is a field of `Settings`, and an environment variable of the same name."""

from factory.config.settings import Settings, libpq_url, load_settings

__all__ = ["Settings", "libpq_url", "load_settings"]
