"""Agents: named, versioned ways to call a model."""
