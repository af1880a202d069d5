# Everything a fresh machine needs is Python >= 3.11 and make: each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench format clean
.DEFAULT_GOAL := test

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("webhookctl needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "setting up .venv (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

demo: .venv/ready
	@$(BIN)/webhookctl demo

test: .venv/ready
	$(BIN)/python -m pytest

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/ready
	@# mitmproxy pins versions of its own: it gets an environment of its own. Without it the rest is measured.
	@test -x .venv-bench/bin/mitmdump || { $(PYTHON) -m venv .venv-bench \
	  && .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' \
	  && .venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --group bench; } || true
	$(BIN)/python bench/forward.py $(BENCH)

clean:
	rm -rf .venv .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache
