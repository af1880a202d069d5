# Everything a fresh machine needs is Python >= 3.11 and make: each target sets up .venv by itself.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-oracles check bench bench-relay soak fuzz docs format clean
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

# What the oracles' environment is made of: only a change of that is a reason to install anew.
ORACLE_GROUPS := $(PYTHON) -c 'import tomllib; d = tomllib.load(open("pyproject.toml", "rb")); print([d["project"]["dependencies"], [d["dependency-groups"][name] for name in ("oracles", "oracles-sdks", "oracles-apart")]])'

.venv-oracles/ready: pyproject.toml
	@if test "$$(cat $@ 2>/dev/null)" = "$$($(ORACLE_GROUPS))"; then touch $@; else $(MAKE) --no-print-directory oracles-environment; fi

.PHONY: oracles-environment
oracles-environment:
	@test -x .venv-oracles/bin/python || $(PYTHON) -m venv .venv-oracles
	@echo "setting up .venv-oracles (once): the providers' SDKs"
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --editable . --group oracles-sdks
	@.venv-oracles/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --group oracles-apart
	@$(ORACLE_GROUPS) > .venv-oracles/ready

NPM_ORACLES := tests/oracles/npm/node_modules

$(NPM_ORACLES)/ready: tests/oracles/npm/package.json tests/oracles/npm/apart.mjs
	@if ! command -v npm >/dev/null; then echo "npm is missing: the oracles of npm are left out"; \
	else echo "setting up the npm oracles (once)"; \
	  npm install --prefix tests/oracles/npm --silent --no-audit --no-fund --ignore-scripts --no-package-lock \
	    --fetch-retries=1 --fetch-timeout=60000 && (cd tests/oracles/npm && node apart.mjs) && touch $@ \
	  || echo "npm cannot install (no network?): what is missing of its oracles is left out"; fi

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
	$(BIN)/python bench/signing.py

# smee-client is a peer on the relay's smee endpoint; without npm the rest is measured.
bench-relay: .venv/ready
	@test -d bench/npm/node_modules || ! command -v npm >/dev/null \
	  || npm install --prefix bench/npm --silent --no-audit --no-fund --ignore-scripts --no-package-lock || true
	PYTHONPATH=. $(BIN)/python bench/relay.py $(BENCH)
	PYTHONPATH=. $(BIN)/python bench/tunnels.py

# Bursts through the relay while everything is killed and the network fails. Some minutes; `make test` runs a short one.
soak: .venv/ready
	PYTHONPATH=. $(BIN)/python bench/soak.py $(SOAK)

# Bytes made up by atheris against the tunnel's protocol, in an environment of its own (Linux).
fuzz: .venv/ready
	@test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@.venv-fuzz/bin/python -m pip install --quiet --disable-pip-version-check --group fuzz
	PYTHONPATH=. .venv-fuzz/bin/python -m tests.tunnel_protocol.fuzz -max_total_time=120 -max_len=2000

INDEX := webhookctl/signing/data/index.json

# What is made from the files of schemes and handshakes: the index, and two pages.
docs: .venv/ready
	$(BIN)/python -c 'from webhookctl.signing.index import index_text; print(index_text(), end="")' > $(INDEX).new
	mv $(INDEX).new $(INDEX)
	$(BIN)/python docs/generate_providers.py
	$(BIN)/python docs/generate_handshakes.py

clean:
	rm -rf .venv .venv-bench .venv-fuzz .venv-oracles $(NPM_ORACLES) $(NPM_EXAMPLE) bench/npm/node_modules build dist .pytest_cache .mypy_cache .ruff_cache
