"""One module an artefact. Each has `check(tools)`, which raises Invalid or Unavailable."""
