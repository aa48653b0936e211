"""Where backups lie and which key opens them, by the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from factory.backup.seal import IdentityFile
    from factory.backup.vault import Vault
    from factory.config import Settings


def vault_settings() -> Settings:
    """The operator's settings, without a connection to anything."""
    from factory.cli.operator import operator_services

    with operator_services() as services:
        return services.settings


def vault_of(settings: Settings) -> Vault:
    """The directory of backups."""
    from factory.backup.vault import Vault

    return Vault(Path(settings.backup_dir))


def identity_of(settings: Settings) -> IdentityFile | None:
    """The secret key, where this machine has it."""
    from factory.backup.seal import IdentityFile

    path = settings.backup_identity_file
    return IdentityFile(Path(path).resolve()) if path else None
