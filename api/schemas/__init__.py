"""What calls answer, as OpenAPI shows it. Answers are rendered straight from `pipeline.view`."""
