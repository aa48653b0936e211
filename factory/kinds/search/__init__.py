"""The job kind `search`: the pieces of embedded texts that are nearest to a query."""
