# `make help` lists the targets.  Each one sets up .venv by itself, and only when requirements.lock or pyproject.toml changed.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help up test lint types bench lock clean

help: ## Show what there is to do
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup_venv.sh
	@touch $@

up: $(READY) ## Start the whole system on this machine (ARGS="--demo --speed 50" sends real events)
	@$(BIN)/headhunter up $(ARGS)

test: $(READY) ## Run the tests on real servers (ARGS="-k health" selects)
	@$(BIN)/python -m pytest -n 4 --dist loadscope --no-loadscope-reorder $(ARGS)

lint: $(READY) ## Check style and the import contracts between the rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

types: $(READY) ## Check types, strictly
	@$(BIN)/mypy

bench: $(READY) ## Measure the path of an event beside what PostgreSQL itself can do
	@$(BIN)/python -m benchmarks $(ARGS)

lock: ## Renew requirements.lock from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --group dev --extra authoring --extra archive --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --upgrade -q -o requirements.lock

clean: ## Remove the environment and all caches; the data of `make up` in .headhunter/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
