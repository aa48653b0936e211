"""All dashboards."""

from __future__ import annotations

from deploy.monitoring.grafana import data, jobs, machines, requests

BOARDS = (requests.BOARD, jobs.BOARD, data.BOARD, machines.BOARD)
