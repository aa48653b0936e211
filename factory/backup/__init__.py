"""Backups of Postgres: logical and physical ones, encrypted, verified, kept for a time, and restored."""
