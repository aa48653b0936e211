"""Manifests for kustomize, and what makes one of them."""
