"""People who log in: passwords, tokens, invitations, and when a session ends."""
