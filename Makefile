# Every target does its own set-up: the virtual environment .venv and the editable install.
# `make demo PYTHON=python3.13` chooses an interpreter; `make clean` forgets the environment.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
FACE := build/face

PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: help demo test mutants lint typecheck check docs format clean

help:
	@echo "make demo       train a character model on text that Python carries, and write new text"
	@echo "make test       run the test suite (WORKERS=$(WORKERS) processes; ARGS='-k scan' for a part of it)"
	@echo "make mutants    plant every fault that the checkers must see, and count them"
	@echo "make lint       ruff: style and import order"
	@echo "make typecheck  mypy on the package"
	@echo "make check      lint, typecheck and test"
	@echo "make docs       the pages in docs/_build/html, notebooks run (ARGS=-E to build all of them again)"
	@echo "make format     let ruff mend what it can"
	@echo "make clean      remove the environment and everything generated"

demo: $(VENV)/installed
	$(BIN)/tapegrad train

test: $(VENV)/installed-test
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

mutants: $(VENV)/installed-test
	$(BIN)/python -m tests.meta $(ARGS)

lint: $(VENV)/installed-lint
	$(BIN)/ruff check .

format: $(VENV)/installed-lint
	$(BIN)/ruff check --fix .

# mypy reads a package from one folder, and `cells` and `backends` lie beside `tapegrad`, not in it:
# it is shown the package as it installs, through links.
typecheck: $(VENV)/installed-lint
	@rm -rf $(FACE) && mkdir -p $(FACE)/tapegrad
	@ln -s $(CURDIR)/tapegrad/* $(CURDIR)/cells $(CURDIR)/backends $(FACE)/tapegrad/
	cd $(FACE) && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p tapegrad

check: lint typecheck test

# A warning is an error. No page is fetched from anywhere: the pages can be built and read without a network.
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -T -W --keep-going $(ARGS) docs docs/_build/html

# The environment is made anew when pyproject.toml changes, and at no other time.
$(VENV)/installed: pyproject.toml
	@python=$$(sh .ci/find-python $(PYTHON)) || exit 2; \
	echo "Setting up $(VENV) with $$python"; \
	$$python -m venv --clear $(VENV)
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing what the tests need"
	@$(PIP) --editable ".[test]"
	@touch $@

$(VENV)/installed-lint: $(VENV)/installed
	@echo "Installing what the checks need"
	@$(PIP) --editable ".[lint]"
	@touch $@

$(VENV)/installed-docs: $(VENV)/installed
	@echo "Installing what the documentation needs"
	@$(PIP) --editable ".[docs]"
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
