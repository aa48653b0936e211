"""How things are broken, by what is broken."""
