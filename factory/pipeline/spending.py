"""What a job may still spend when an attempt of it begins."""

from __future__ import annotations

from factory.domain.job import ClaimedJob
from factory.domain.money import Price
from factory.errors import InvalidInput
from factory.limits.budget import Budget, CallSize
from factory.llm.catalog import Catalog


def open_budget(catalog: Catalog, job: ClaimedJob, size: CallSize) -> Budget:
    """The job's limit, less what earlier attempts have spent or may have."""
    budget = Budget(job.max_cost_micros, job.spent_micros, size)
    for model_id in job.unknown_models:
        budget.write_off(_price(catalog, model_id))
    return budget


def _price(catalog: Catalog, model_id: str) -> Price | None:
    try:
        return catalog.find(model_id).price
    except InvalidInput:
        return None  # the catalog was another one when the call was made
