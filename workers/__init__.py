"""The Celery side: the app, its asyncio pool, the tasks and the dispatcher."""
