"""A project's documents, cut into chunks and found by meaning."""
