"""What a job may still spend when an attempt begins."""

from __future__ import annotations

from factory.domain.job import ClaimedJob
from factory.errors import InvalidInput
from factory.limits.budget import LEAST_OUTPUT_TOKENS, Budget, CallSize
from factory.llm.catalog import Catalog, Model

BYTES_PER_TOKEN = 3
"""About what most languages take."""


def open_budget(catalog: Catalog, job: ClaimedJob, size: CallSize) -> Budget:
    """The job's limit, less what earlier attempts have spent or may have spent."""
    budget = Budget(job.max_cost_micros, job.spent_micros, size)
    for model_id in job.unknown_models:
        try:
            model = catalog.find(model_id)
        except InvalidInput:
            budget.write_off(None, None)  # the catalog was another one when the call was made
        else:
            budget.write_off(model.price, model.max_output_tokens)
    return budget


def longest_output(model: Model, size: CallSize) -> int | None:
    """How many tokens the model may answer with: its own maximum, and what the input leaves of its window.

    The input counts as about a third of its bytes. If that is too low, the provider refuses the call, at no cost.
    """
    if model.max_input_tokens is None:
        return model.max_output_tokens
    left = model.max_input_tokens - size.input_tokens // BYTES_PER_TOKEN
    if left < LEAST_OUTPUT_TOKENS:
        return model.max_output_tokens
    return left if model.max_output_tokens is None else min(left, model.max_output_tokens)


def longest_answer(budget: Budget, model: Model) -> int | None:
    """How many tokens the next answer of the model may have, None for no bound. Raises BudgetExceeded."""
    return budget.output_tokens(model.price, longest_output(model, budget.size))
