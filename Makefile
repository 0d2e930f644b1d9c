# Every target works on a fresh machine: what it needs is set up first, once, from the hash-pinned locks.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Debian keeps the mail programs that the tests use where only root looks.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TEST_PROCESSES ?= 2
# Name test files or options: make test TESTS='tests/app -k address'
TESTS ?=
# make bench ONLY=latency runs one part of it, FULL=1 the long form.
ONLY ?=
FULL ?=
# make lock UPGRADE=1 takes the newest allowed versions; without it, pins stay where they can.
UPGRADE ?=
SAY := printf '\033[1m==> %s\033[0m\n'

.PHONY: help run test check bench bench-plots chaos soak openapi format lock clean system

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP) ## Start Pillarbox on this machine: store, API, worker and a catch-all mailbox
	@exec $(BIN)/pillarbox dev

test: $(STAMP) system ## Run the tests (TESTS='...' names some of them)
	@$(SAY) 'pytest'
	@$(BIN)/pytest -n $(TEST_PROCESSES) $(TESTS)

check: $(STAMP) ## Check style, types, imports, OpenAPI, manifests and Dockerfile
	@$(SAY) 'ruff check'
	@$(BIN)/ruff check .
	@$(SAY) 'ruff format'
	@$(BIN)/ruff format --check .
	@$(SAY) 'mypy'
	@$(BIN)/mypy $(wildcard app worker tests bench tools)
	@$(SAY) 'import contracts'
	@$(BIN)/lint-imports --no-logo
	@$(SAY) 'openapi'
	@$(BIN)/python -m app.openapi --check
	@$(BIN)/python -m tools.settings_page --check
	@$(SAY) 'yamllint'
	@$(BIN)/yamllint --strict k8s openapi .yamllint.yaml
	@$(SAY) 'hadolint'
	@$(BIN)/hadolint Dockerfile
	@$(SAY) 'kubernetes manifests'
	@$(BIN)/pytest -q tests/test_manifests.py

bench: $(STAMP) system ## Measure speed beside Postfix and Haraka (FULL=1: longer); ends with one line of JSON
	@$(BIN)/python -m bench $(if $(FULL),--full) $(ONLY:%=--only %)

bench-plots: $(STAMP) ## Put the figures of the last `make bench` into docs/benchmark.md
	@$(BIN)/python -m bench.plots

chaos: $(STAMP) ## Kill and freeze the processes under load, and compare what was accepted with what arrived
	@$(BIN)/python -m bench.chaos

soak: $(STAMP) system ## Run the load of the bench for longer and watch memory
	@$(BIN)/python -m bench.soak

openapi: $(STAMP) ## Write openapi/openapi.yaml and docs/settings.md from the code
	@$(BIN)/python -m app.openapi
	@$(BIN)/python -m tools.settings_page

format: $(STAMP) ## Sort imports and format the code
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

lock: ## Remake the lock files (UPGRADE=1 takes newer versions); needs uv
	@command -v uv >/dev/null || { echo 'make lock needs uv: install it with "pip install uv".' >&2; exit 1; }
	@./tools/lock $(if $(UPGRADE),--upgrade)

clean: ## Remove the virtual environment and all caches (the data of `make run` stays)
	@rm -rf $(VENV) .aside build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

system:
	@./tools/system-packages postfix:smtp-sink opendkim:opendkim faketime:faketime unbound:unbound
	@./tools/aside-packages .aside/exim exim4-daemon-light libnss-wrapper # Debian has one mail server at a time

$(STAMP): requirements/dev.txt pyproject.toml tools/venv
	@./tools/venv $(VENV) requirements/dev.txt
	@touch $@
