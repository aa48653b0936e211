"""What the callers do. Locust runs it, in an environment of its own: nothing of the platform is imported.

Each user submits jobs, looks at them and lists them, as clients that poll do; `Prefer: wait` is left out,
whose time is the provider's.
"""

from __future__ import annotations

import csv
import os
from collections import deque
from typing import Any

from locust import FastHttpUser, constant_throughput, events, task
from locust.stats import StatsCSV

KEPT = 50
MOST = int(os.environ["LOAD_REQUESTS"])
PERCENTILES = (0.5, 0.95, 0.99)


class Caller(FastHttpUser):  # type: ignore[misc]
    """One connection and its recent jobs."""

    wait_time = constant_throughput(float(os.environ["LOAD_RATE_A_USER"]))
    connection_timeout = network_timeout = 30.0
    insecure = False
    """Its default is not to look at certificates: whoever stands between would get the key."""

    def on_start(self) -> None:
        self.ids: deque[str] = deque(maxlen=KEPT)
        self.headers = {"Authorization": f"Bearer {os.environ['LOAD_KEY']}"}
        self.body = {
            "model": os.environ["LOAD_MODEL"],
            "input": "Answer with one word: ready?",
            "params": {"max_tokens": 16},
            "metadata": {"load": "true"},
        }

    @task(5)
    def submit(self) -> None:
        answer = self.client.post(
            "/api/jobs", json=self.body, headers=self.headers, name="POST /api/jobs"
        )
        if answer.status_code == 202:
            self.ids.append(answer.json()["id"])

    @task(10)
    def look(self) -> None:
        if self.ids:
            path = f"/api/jobs/{self.ids[-1]}"
            self.client.get(path, headers=self.headers, name="GET /api/jobs/{id}")

    @task(1)
    def read_list(self) -> None:
        self.client.get("/api/jobs?limit=20", headers=self.headers, name="GET /api/jobs")


@events.init.add_listener
def bound_requests(environment: Any, **_: Any) -> None:
    """Ends the load once it has made as many requests as it may."""

    def stop_at_most(**_: Any) -> None:
        if environment.stats.total.num_requests >= MOST and environment.runner:
            environment.runner.quit()

    environment.events.request.add_listener(stop_at_most)


@events.quitting.add_listener
def write_stats(environment: Any, **_: Any) -> None:
    """What `report.py` reads. Locust's own file lacks what was measured since its last second."""
    with open(os.environ["LOAD_STATS"], "w", newline="") as file:
        StatsCSV(environment, PERCENTILES).requests_csv(csv.writer(file))
