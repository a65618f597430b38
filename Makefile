# Everything a clone needs is Python 3.11 or newer and make; each target sets up what it uses in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo test check bench golden pins clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

demo: $(VENV)/demo.stamp ## Track a small research project end to end and ask the store about it
	$(BIN)/python examples/demo.py

test: $(VENV)/dev.stamp ## Run the test suite on SQLite and on a real PostgreSQL
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/dev.stamp ## Run the linter, the formatter, the type checker and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: $(VENV)/dev.stamp ## Measure, and print the figures as a table
	$(BIN)/python -m benchmarks

golden: $(VENV)/dev.stamp ## Record the golden log of this version, until it is released, and what is made of it
	$(BIN)/python tests/recorded/golden.py record

pins: $(VENV)/dev.stamp ## Write down anew what is made of all golden logs, after a deliberate change
	$(BIN)/python tests/recorded/golden.py pin

clean: ## Remove the environment and all caches
	rm -rf $(VENV) build lineagelog.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Dependency groups need pip 25.1; the pip that Python brings along may be older.
$(VENV)/pip.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "lineagelog needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@touch $@

$(VENV)/demo.stamp: pyproject.toml $(VENV)/pip.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[demo]"
	@touch $@

$(VENV)/dev.stamp: pyproject.toml $(VENV)/pip.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@
