"""A gateway over the test's own database, and a database that the tests of a module share."""

from tests.integration.api.conftest import app, caller, catalog, other_caller
from tests.integration.store.conftest import module_services

__all__ = ["app", "caller", "catalog", "module_services", "other_caller"]
