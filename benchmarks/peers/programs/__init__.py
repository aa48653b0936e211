"""The peers' own programs: they import nothing of the platform and run in their own environment."""
