"""Tables of the people who log in. They belong to the installation, not to a project."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from factory.store.metadata import metadata, when

users = Table(
    "users",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    when("created_at", required=True),
    when("deactivated_at"),
    when("last_login_at"),
)
"""`email` is in its normal form. Without a `password_hash` a user is invited and cannot log in yet."""

invitations = Table(
    "invitations",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", UUID, ForeignKey("users.id"), nullable=False, index=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("created_by", Text, nullable=False),
    when("created_at", required=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    when("used_at"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("user_id", UUID, ForeignKey("users.id"), nullable=False, index=True),
    Column("token_hash", Text, nullable=False),
    Column("previous_hash", Text),
    when("rotated_at"),
    when("created_at", required=True),
    Column("expires_at", DateTime(timezone=True), nullable=False, index=True),
    when("ended_at"),
    Column("ended_because", Text),
    Column("address", Text),
    Column("user_agent", Text),
)
"""A login and all refresh tokens that come of it: the newest one, and the one before."""

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("began_at", DateTime(timezone=True), nullable=False, index=True),
)
"""Logins that were tried, by account and by client. A subject is a keyed hash or an address, never what was typed."""
