# The two commands of a newcomer: `make run` makes a video, `make test` proves the worker. Both set .venv up first.

SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
# Tests whose Debian packages are missing are left out, loudly; with LEAVE_OUT=no that is a failure.
LEAVE_OUT ?= yes

.PHONY: run test

run: .venv/installed
	$(BIN)/python handler.py

test: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@missing="$$(builder/install-test-packages)"; \
	left_out="$$(for package in $$missing; do printf 'not needs_%s and ' "$${package//-/_}"; done)"; \
	say() { [ -z "$$missing" ] || printf '\n*** LEFT OUT: the tests that need Debian'\''s %s\n\n' "$$(echo $$missing)" >&2; }; \
	say; [ -z "$$missing" ] || [ "$(LEAVE_OUT)" = yes ] || exit 1; \
	$(BIN)/pytest $${left_out:+-m "$${left_out% and }"} || exit $$?; \
	say

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: builder/requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check -r builder/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/installed-for-tests: .venv/installed builder/requirements-test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -r builder/requirements-test.txt
	touch $@
