"""The app for Celery's own commands and Flower: `celery -A workers.celery_app flower`."""

from __future__ import annotations

from factory.config import settings_or_exit
from workers.app import create_app_for

settings = settings_or_exit("workers.celery_app")
app = create_app_for(settings)
