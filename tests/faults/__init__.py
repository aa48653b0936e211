"""The fault harness: breaks a running platform and proves what held. `python -m tests.faults --help`."""
