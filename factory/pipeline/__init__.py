"""A job's journey, a package a step: `accept`, `dispatch`, `run`, and `upkeep` for what went wrong or is over.

The packages do not import each other. What several of them need is beside them: the end of an attempt (`finish`) and
the dispatcher's wake-up (`wakeup`).
"""
