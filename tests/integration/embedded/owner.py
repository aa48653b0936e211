"""Starts one embedded server, prints its URL and stays: a process for tests to kill.

Usage: owner.py postgres|valkey DIRECTORY
"""

import signal
import sys
from pathlib import Path

from factory.embedded.postgres import EmbeddedPostgres
from factory.embedded.valkey import EmbeddedValkey

kind, directory = sys.argv[1:]
server = (EmbeddedPostgres if kind == "postgres" else EmbeddedValkey)(Path(directory))
signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
try:
    sys.stdout.write(f"{server.start()}\n")
    sys.stdout.flush()
    signal.pause()
finally:
    server.stop()
