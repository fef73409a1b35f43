# Every command a developer needs. `make demo` and `make test` do all set-up themselves.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export MLCICD_HOME ?= $(CURDIR)/.mlcicd
export DAGSTER_HOME ?= $(MLCICD_HOME)/dagster
# The caches are worth more than the disk: without them every process compiles its libraries anew.
unexport PYTHONDONTWRITEBYTECODE
# Trust what the machine trusts, as pip does.
export UV_SYSTEM_CERTS ?= true
UV := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# CPU wheels where the machine offers them to pip; a range, so that what is there is taken.
TORCH ?= torch>=2.13,<2.14

.PHONY: help demo demo-loop test check format dev bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## Real flights, from the file that lands to a model that answers over HTTP
	@$(BIN)/python -m mlcicd_assets.demo

demo-loop: $(VENV)/.demo ## A model that goes bad, is noticed, retrained, approved and replaced: without anybody (ARGS=--fast)
	@$(BIN)/python -m mlcicd_assets.demo_loop $(ARGS)

dev: $(VENV)/.demo ## Dagster's web interface and daemon on http://127.0.0.1:3000 (PORT=... for another)
	@$(BIN)/mlcicd init
	@$(BIN)/dagster dev --workspace workspace.yaml --host 127.0.0.1 --port $(or $(PORT),3000)

test: $(VENV)/.dev ## The whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadgroup $(ARGS)

check: $(VENV)/.dev ## Lint, format, types, import rules and declarations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/dg check defs

format: $(VENV)/.dev ## Format and fix what can be fixed
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Speed, as ratios measured in one run
	@$(BIN)/python -m benchmarks

lock: $(VENV)/.dev ## Pin every package anew in constraints.txt
	@printf '# Every package at the version that the tests ran with. Made by: make lock\n# torch stays a range (extra "torch"): see pyproject.toml.\n' > constraints.new
	@printf 'pip\nuv\n' | $(BIN)/uv pip compile --quiet pyproject.toml - --group dev --python-version 3.11 --no-annotate --no-header >> constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove the environment (never the home with its data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis

$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] < (3, 13), "Python 3.11 or 3.12 is needed: make PYTHON=python3.11"'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing: apt-get install -y python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) from constraints.txt (about a minute) ..."
	@$(PIP) --upgrade pip uv
	@touch $@

$(VENV)/.demo: $(VENV)/.venv pyproject.toml constraints.txt
	@$(UV) --editable '.[ci]' || { echo "uv failed; installing with pip, which takes some minutes ..."; $(PIP) --editable '.[ci]'; }
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(PIP) '$(TORCH)'
	@$(UV) --editable . --group dev || $(PIP) --editable . --group dev
	@touch $@
