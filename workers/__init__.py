"""The programs that use Celery: workers with their asyncio pool, the dispatcher; and the exporter."""
