"""Limits that act before a call, not after."""
