"""What each kind does with its jobs, on the pipeline's bench."""

from tests.integration.pipeline.conftest import bench, catalog, receiver, services, simulator

__all__ = ["bench", "catalog", "receiver", "services", "simulator"]
