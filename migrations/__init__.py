"""Alembic migrations: expand and contract, each safe beside the code before and after it."""
