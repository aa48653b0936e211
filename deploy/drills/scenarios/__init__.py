"""One module a drill. Each has `drill(stage)`, which gives an Outcome or raises Unavailable."""
