"""Checks every artefact of `deploy/` with its field's own tool: `make validate`."""
