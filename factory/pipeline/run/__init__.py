"""Running jobs: claim, perform, report, and the commits and reads that this takes. Runs in the workers."""
