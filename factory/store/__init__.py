"""All SQL. Hot statements take sets; every function takes the transaction first."""
