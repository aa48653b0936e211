"""A job's calls: what they may cost, their intents and ends in the journal, and the one way to make them."""
