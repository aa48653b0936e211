"""What callers ask for: jobs checked and stored, waited for, cancelled, retried, searched with. Runs in the gateway."""
