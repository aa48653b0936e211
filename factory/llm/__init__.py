"""Calls to language models: which exist and what they cost, how each is spoken to, what may stand in."""
