"""Disasters, rehearsed on real servers and timed: `make drills`."""
