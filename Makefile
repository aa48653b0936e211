# The commands of the README. Everything is set up on first use, in .venv; nothing else is touched.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
# On demand, as all controls are: the state machine's rules against a platform with a guard missing.
CONTROLS := tests/integration/reliability/test_state_machine_controls.py
export VENV

.PHONY: help setup setup-dev demo demo-local up test test-local-llm unit integration acceptance faults-quick faults faults-controls bench bench-quick validate drills smoke load docs docs-reference release lint fix requirements clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{ line = sprintf("  make %-15s", $$1); n = split($$2, word, " "); \
	  for (i = 1; i <= n; i++) { if (length(line word[i]) > 78) { print line; line = sprintf("%22s", "") } line = line " " word[i] } print line }'

setup: ## make the virtual environment
	@$(PYTHON) deploy/install.py

setup-dev:
	@$(PYTHON) deploy/install.py dev

demo: setup ## start everything, run a few hundred jobs, show them, stop
	@$(RUN)/factory demo

demo-local: ## the demo's completions on a small real model on this machine
	@$(PYTHON) deploy/install.py local-llm
	@$(RUN)/factory demo --llm local

up: setup ## start everything and stay
	@$(RUN)/factory up

test: setup-dev ## all tests
	@$(RUN)/python -m pytest -q -n 3 --dist loadfile -m "not local_llm" --ignore=$(CONTROLS)

test-local-llm: ## the tests on the small real language model
	@$(PYTHON) deploy/install.py dev local-llm
	@$(RUN)/python -m pytest -q -m local_llm

unit: setup-dev ## tests without any server, seconds
	@$(RUN)/python -m pytest -q tests/unit

integration: setup-dev ## tests on real Postgres and Valkey
	@$(RUN)/python -m pytest -q -n 3 --dist loadfile -m "not local_llm" --ignore=$(CONTROLS) tests/integration

acceptance: setup-dev ## the whole stack, as users run it
	@$(RUN)/python -m pytest -q -n 2 --dist loadfile tests/acceptance

faults-quick: setup-dev ## every fault under more than 500 jobs, 6 minutes
	@$(RUN)/python -m tests.faults quick

faults: setup-dev ## 10,000 jobs, more than 300 kills, 20 to 30 minutes
	@$(RUN)/python -m tests.faults full

faults-controls: setup-dev ## the harness must notice each guard that is taken away
	@$(RUN)/python -m tests.faults.controls
	@$(RUN)/python -m pytest -q $(CONTROLS)

bench-quick: setup-dev ## how fast, small and flat it is beside others, a quarter of bench
	@$(RUN)/python -m benchmarks quick

bench: setup-dev ## the figures and plots of docs/performance.md, 27 minutes
	@$(RUN)/python -m benchmarks full --write docs

validate: setup-dev ## every artefact of deploy/, by its field's own tool
	@$(RUN)/python -m deploy.validate

drills: setup-dev ## disasters and updates rehearsed and timed; DRILLS="redis_lost" for one, "--quick" for CI's form
	@$(RUN)/python -m deploy.drills $(DRILLS)

smoke: setup ## one look at every part of a platform: SMOKE="--url URL --key KEY", or of one of its own
	@$(RUN)/python -m deploy.smoke $(SMOKE)

load: setup ## how fast the gateway answers, against p95 < 500 ms and errors < 0.1 %: LOAD="--rate 100"
	@$(RUN)/python -m deploy.load $(LOAD)

docs: setup-dev ## the site in site/; links and code blocks are checked, marked blocks are run
	@$(RUN)/python -m deploy.docs

docs-reference: setup-dev ## write the pages that are made of the code
	@$(RUN)/python -m factory.config.reference
	@$(RUN)/python -m deploy.providers
	@$(RUN)/python -m deploy.docs reference

release: setup-dev ## wheel, sdist, image context, SBOM and sums of this commit, in dist/
	@$(RUN)/python -m deploy.release

lint: setup-dev ## format, style, types, layers
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports

fix: setup-dev ## format and mend what can be mended
	@$(RUN)/ruff check --fix .
	@$(RUN)/ruff format .

requirements: ## resolve and pin anew, after a change of a .in file
	@$(RUN)/python deploy/requirements.py

clean: ## remove the environment and the development installation's data
	rm -rf $(VENV) $(VENV).lock .factory *.egg-info
