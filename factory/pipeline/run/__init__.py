"""Running jobs: claim, perform, report. Runs in the workers."""
