"""Real Postgres and Valkey out of wheels, and the supervisor: a whole installation without Docker."""
