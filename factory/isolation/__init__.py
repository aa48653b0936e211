"""Runs work that may take long, or never end, in child processes: a process can be killed, a thread cannot."""
