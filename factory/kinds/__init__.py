"""What a worker does with a job, a package a kind. They do not import each other."""
