"""The harness against a platform that lacks one guard: each must be caught."""
