"""The job kind `completion`: one answer of a model, or of the first fallback that gives one."""
