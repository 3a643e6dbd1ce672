# One vocabulary for people, hooks and CI. `make setup` is all a user needs; the rest is for contributors.

PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { echo $$name; break; }; done)
# A plain Linux install of torch brings CUDA; for a machine without a GPU: make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=
TORCH := torch>=2.11,<2.14
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
READY := .venv/.ready
READY_DEV := .venv/.ready-dev
READY_HF := .venv-bench-hf/.ready
READY_MEGATRON := .venv-bench-megatron/.ready
PATHS := src tests bench
PYTEST := $(BIN)/pytest -q -n auto --maxprocesses 4

.PHONY: setup demo test test-all check fix bench clean

setup: $(READY)

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11, 3.12 or 3.13 found; install one, or: make setup PYTHON=/path/to/python" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) --upgrade pip
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "$(TORCH)"
	$(PIP) -e .
	@touch $@

$(READY_DEV): $(READY)
	$(PIP) -e ".[dev,web,fast,guide,export]"
	@touch $@

# The peers of the parity tests, in environments of their own: their pins must not reach ours.
$(READY_HF): PEER := transformers==5.23.0
$(READY_MEGATRON): PEER := megatron-core==0.16.1
$(READY_HF) $(READY_MEGATRON): Makefile
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) "torch==2.13.0"
	$(@D)/bin/python -m pip --disable-pip-version-check install --quiet "$(PEER)"
	@touch $@

demo: $(READY)
	$(BIN)/whorl demo

test: $(READY_DEV)
	$(PYTEST) -m "not slow and not parity" --cov --cov-branch --cov-report=term
	$(BIN)/coverage report --include="src/whorl/core/*" --fail-under=100

test-all: $(READY_DEV) $(READY_HF) $(READY_MEGATRON)
	$(PYTEST) --hypothesis-profile=thorough --timeout=1800

check: $(READY_DEV)
	$(BIN)/ruff format --check --quiet $(PATHS)
	$(BIN)/ruff check --quiet $(PATHS)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -p no:randomly tests/house/test_budget.py
	$(BIN)/codespell

fix: $(READY_DEV)
	$(BIN)/ruff check --fix $(PATHS)
	$(BIN)/ruff format $(PATHS)

bench: $(READY_DEV)
	$(BIN)/python -m bench

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* dist build
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
