"""The app for Celery's own commands and Flower: `celery -A workers.celery_app flower`."""

from __future__ import annotations

from factory.config import load_settings
from workers.app import create_app

app = create_app(load_settings().redis_url)
