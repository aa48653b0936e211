"""Runs a supervisor over shell scripts: a process for tests to signal and kill.

Usage: supervise.py STOP_GRACE_S NAME=SCRIPT...
"""

import sys

from factory.embedded.program import Program
from factory.embedded.supervisor import Supervisor

stop_grace_s = float(sys.argv[1])
scripts = [argument.split("=", 1) for argument in sys.argv[2:]]
programs = [
    Program(name, ("/bin/sh", "-c", script), stop_grace_s=stop_grace_s) for name, script in scripts
]
Supervisor(programs, sys.stdout).run()
