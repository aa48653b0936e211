"""AI Agent Factory: durable LLM jobs on Postgres, Celery and one asyncio loop per worker."""

__version__ = "0.1.0"
