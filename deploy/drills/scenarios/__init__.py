"""One module a drill.

Each has a `GROUND`, a context manager on a Stage, and `drill(stage, ground)`, which is given what the ground
gives, and gives an Outcome. Either raises Unavailable where it cannot be had. `SPENDS_GROUND` says that no
other drill can use what this one leaves.
"""
