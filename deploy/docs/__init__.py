"""The pages of `docs/`: built into a site, their code blocks checked and run. `make docs`."""
