"""Does a platform work from end to end? `make smoke`."""
