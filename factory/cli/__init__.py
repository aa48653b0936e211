"""The command line: `factory up`, `submit`, `demo` and the rest. Commands import what is heavy when they run."""
