"""The job kind `webhook`: delivers one event to one receiver. It has its own retry schedule and no webhook."""
