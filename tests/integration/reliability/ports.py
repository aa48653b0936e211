"""Ports on loopback that stay ours."""

from deploy.validate.servers import free_port

__all__ = ["free_port"]
