"""Settings of all programs. Each is a field of `Settings`, and an environment variable of the same name."""

from factory.config.addresses import libpq_url
from factory.config.environment import consumed_names, environment, resolve
from factory.config.load import (
    load_settings,
    setting_faults,
    settings_or_exit,
    weak_settings,
    without_placeholders,
)
from factory.config.settings import Settings

__all__ = [
    "Settings",
    "consumed_names",
    "environment",
    "libpq_url",
    "load_settings",
    "resolve",
    "setting_faults",
    "settings_or_exit",
    "weak_settings",
    "without_placeholders",
]
