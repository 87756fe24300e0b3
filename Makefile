# Everything that a person or a continuous integration runs: `make help` lists it.

PYTHON ?= python3
VENV ?= .venv
# An index of PyTorch's CPU wheels, where the ordinary one would bring CUDA libraries along
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c cluster/constraints.txt
# Tests that are left out are slow, or need root or a browser: other targets run them
EVERY_TIME := not slow and not cluster and not browser
# Files with tests on Ray: to collect all others takes half a minute
ON_RAY := $(shell grep -rl 'mark\.ray' tests --include='test_*.py')

.DEFAULT_GOAL := help
.PHONY: help demo test test-browser test-faults test-cluster test-image check clean

help:  ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed  ## Install, and run the whole chain on built-in data
	$(BIN)/pointlab demo

test: $(VENV)/.installed  ## Run the tests, those that need Ray beside the others
	@log=$$(mktemp); $(BIN)/python -m pytest -m "$(EVERY_TIME) and ray" $(ON_RAY) >$$log 2>&1 & beside=$$!; failed=0; \
		trap "kill $$beside" INT TERM; \
		$(BIN)/python -m pytest -m "$(EVERY_TIME) and not ray" || failed=1; \
		wait $$beside || failed=1; cat $$log; rm -f $$log; exit $$failed

test-browser: $(VENV)/.installed  ## Open reports in an installed Chromium, use them and draw figures: minutes
	POINTLAB_SCREENSHOTS=.pytest_cache/screenshots $(BIN)/python -m pytest -m browser tests/browser

test-faults: $(VENV)/.installed  ## Break runs in every way and show how each took it: many minutes
	@mkdir -p .pytest_cache && rm -f .pytest_cache/faults.jsonl
	@export POINTLAB_FAULTS=.pytest_cache/faults.jsonl; failed=0; \
		for rows in "(fault or slow) and not cluster" cluster; do \
			$(BIN)/python -m pytest -m "$$rows" || failed=1; \
		done; exit $$failed

test-cluster: $(VENV)/.installed  ## Lose and replace one of two nodes in network namespaces: needs root
	$(BIN)/python -m pytest -m cluster tests/cluster

test-image: $(VENV)/.installed  ## Run the image's install lines in a fresh environment: minutes, gigabytes
	$(BIN)/python -m pytest -m slow tests/kuberay

check: $(VENV)/.installed  ## Check format, lint, types and the layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:  ## Remove the environment, caches and builds
	rm -rf $(VENV) .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find platform jobs tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Torch goes first, for it alone may come from TORCH_INDEX.
$(VENV)/.installed: pyproject.toml cluster/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pointlab needs Python 3.11 or newer. What to do: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(PIP) -e ".[dev]"
	@touch $@
