"""A job's journey, in this order: request, submit, dispatch, execute, finish, rescue."""
