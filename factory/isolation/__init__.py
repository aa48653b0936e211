"""Work that may take long, or never end, runs in child processes: they can be killed, a thread cannot."""
