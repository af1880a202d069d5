# Everything a fresh machine needs is Python >= 3.11 and make: each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oracles check bench docs format clean
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

NPM_EXAMPLE := examples/express/node_modules

# A machine without npm or network tests everything but the example with Express.
$(NPM_EXAMPLE)/ready: examples/express/package.json
	@if ! command -v npm >/dev/null; then \
	  echo "npm is missing: the example with Express is left out"; \
	elif npm install --prefix examples/express --silent --no-audit --no-fund --ignore-scripts --no-package-lock; then \
	  touch $@; \
	else echo "npm install failed: the example with Express is left out"; fi

test: .venv/ready $(NPM_EXAMPLE)/ready
	$(BIN)/python -m pytest

.venv-oracles/ready: pyproject.toml
	@test -x .venv-oracles/bin/python || $(PYTHON) -m venv .venv-oracles
	@echo "setting up .venv-oracles (once): the providers' SDKs"
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group oracles-sdks
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --group oracles-apart
	@touch $@

NPM_ORACLES := tests/oracles/npm/node_modules

$(NPM_ORACLES)/ready: tests/oracles/npm/package.json
	@if command -v npm >/dev/null; then \
	  echo "setting up the npm oracles (once)" && \
	  npm install --prefix tests/oracles/npm --silent --no-audit --no-fund --ignore-scripts --no-package-lock && \
	  touch $@; \
	else echo "npm is missing: the oracles of npm are left out"; fi

# The providers' own SDKs judge our signatures, and we judge theirs. Not part of `test`: some 150 packages.
test-oracles: .venv-oracles/ready $(NPM_ORACLES)/ready
	.venv-oracles/bin/python -m pytest -c tests/oracles/pytest.ini tests/oracles

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

docs: .venv/ready
	$(BIN)/python docs/generate_providers.py

clean:
	rm -rf .venv .venv-bench .venv-oracles $(NPM_ORACLES) $(NPM_EXAMPLE) build dist .pytest_cache .mypy_cache .ruff_cache
