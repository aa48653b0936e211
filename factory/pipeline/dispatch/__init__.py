"""What goes to the workers next: due jobs are marked as published and their ids sent. Runs in the dispatcher."""
