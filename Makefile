# The two commands of a newcomer: `make run` makes a video, `make test` proves the worker. Both set .venv up first.

SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check
# Tests whose Debian or npm packages are missing are left out, loudly; with LEAVE_OUT=no that is a failure.
LEAVE_OUT ?= yes
# Tests run in one process more than there are cores: a sixth of their time they wait for servers and deadlines.
SPREAD ?= -n $(shell echo $$(($$(nproc) + 1))) --dist loadscope --no-loadscope-reorder --durations=10

.PHONY: run lint test run-tests image-test lock

run: .venv/installed
	$(BIN)/python handler.py

lint: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/deptry .

# Side by side: mypy takes a minute of one core.
test: .venv/installed-for-tests
	@$(MAKE) --no-print-directory --jobs=2 lint run-tests

# The image alone: built from the Dockerfile, without a Docker daemon or a registry, and run.
image-test: TESTS := tests/image
image-test: SPREAD := --durations=8
run-tests image-test: .venv/installed-for-tests
	@missing="$$(builder/install-test-packages)"; \
	left_out="$$(for package in $$missing; do printf 'not needs_%s and ' "$${package//-/_}"; done)"; \
	say() { [ -z "$$missing" ] || printf '\n*** LEFT OUT: the tests that need the packages %s\n\n' "$$(echo $$missing)" >&2; }; \
	say; [ -z "$$missing" ] || [ "$(LEAVE_OUT)" = yes ] || exit 1; \
	$(BIN)/pytest $(TESTS) $(SPREAD) $${left_out:+-m "$${left_out% and }"} || exit $$?; \
	say

# Pins anew what pyproject.toml names: after a name was added there, or by hand with builder/lock --upgrade.
lock: .venv/installed-for-tests
	builder/lock

.venv/bin/python:
	$(PYTHON) -m venv .venv

# The commands that install what the worker runs on, and then the gateway. Hashes are for all packages of a command or for none, so torch,
# whose CPU and CUDA builds share a version, has a command of its own.
.venv/installed: builder/requirements.txt builder/requirements-torch.txt builder/constraints-torch.txt \
		builder/requirements-gateway.txt pyproject.toml | .venv/bin/python
	$(INSTALL) --require-hashes --no-deps --only-binary :all: -r builder/requirements.txt
	$(INSTALL) -r builder/requirements-torch.txt -c builder/constraints-torch.txt
	$(INSTALL) --require-hashes --no-deps --only-binary :all: -r builder/requirements-gateway.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

.venv/installed-for-tests: .venv/installed builder/requirements-test.txt
	$(INSTALL) --require-hashes --no-deps --only-binary :all: -r builder/requirements-test.txt
	touch $@
