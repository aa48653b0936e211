"""The answers of calls, as OpenAPI shows them. They are rendered by `api.rendered`."""
