"""The job kind `embedding`: texts to vectors, stored in pgvector."""
