# Everything runs in .venv; nothing is installed elsewhere.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test fuzz lint types schemas bench clean

help: ## What can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

# pip compiles what it installs, but not an editable install; and where PYTHONDONTWRITEBYTECODE is set,
# every start of the program would compile it anew.
$(VENV)/run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --editable .
	$(BIN)/python -m compileall -q bundler
	@touch $@

$(VENV)/dev: $(VENV)/run
	$(PIP) install --upgrade 'pip>=25.1'
	$(PIP) install --group dev
	@touch $@

demo: $(VENV)/run ## Show the whole way on this machine, with two embedded registries
	$(BIN)/timoni-bundler demo --directory demo

test: $(VENV)/dev ## Run the whole suite
	$(BIN)/python -m pytest --numprocesses 2 $(PYTEST_ARGS)

fuzz: $(VENV)/dev ## Look for inputs that do harm (SECONDS=60 for each target, TARGETS=... for some)
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(SECONDS),60) $(TARGETS)

lint: $(VENV)/dev ## Style and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/dev ## Strict type checks
	$(BIN)/mypy

schemas: $(VENV)/dev ## Write schemas/ anew
	$(BIN)/python schemas/generate.py

bench: $(VENV)/dev ## Print figures against skopeo and curl (needs docker-registry, skopeo, curl)
	$(BIN)/python -m bench.compare

clean: ## Remove what make made
	rm -rf $(VENV) demo build dist
