"""The whole schema: once this is imported, `metadata` knows every table."""

from __future__ import annotations

from factory.store import (
    archive_tables,
    knowledge_tables,
    platform_tables,
    tables,
    user_tables,
)
from factory.store.metadata import metadata

__all__ = [
    "archive_tables",
    "knowledge_tables",
    "metadata",
    "platform_tables",
    "tables",
    "user_tables",
]
