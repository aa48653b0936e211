"""Calls to language models: which models exist, what they cost, how each is called, and which model may stand in for
another.
"""
