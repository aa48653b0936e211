"""Pure values and rules. Imports nothing but the standard library and `factory.errors`."""
