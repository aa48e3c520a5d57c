# make demo   tumors painted into phantoms made on the spot, nnU-Net trained with some for a minute
#             or two, and a report to look at; make demo DEMO_OPTIONS=--quick leaves nnU-Net out
# make test   everything that must hold: lint, types, floors, tests
# make test-fast  lint, types and the tests of the core, to run in between (three minutes)
# make nightly  thousands of calls with whatever may come in, others each time (an hour)
# make lint   the same without the tests
# make clean  removes what these made
# make compatibility  the nnU-Net trainer beside three releases of nnunetv2, as wheels and editable
#                     (needs the network; 20 minutes)
#
# Sets itself up: the first call makes .venv and installs into it. PYTHON=... picks another Python.

VENV := .venv
BIN := $(VENV)/bin
DEMO_DIR ?= demo
DEMO_OPTIONS ?=
# What most changes break first: the three acts and what they stand on.
FAST := $(addprefix tests/,support grid signal networks settings decide paint texture \
	test_runner.py test_write.py test_packed_plans.py test_host.py test_volume.py)
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)

.PHONY: demo test test-fast nightly lint compatibility clean

demo: $(VENV)/.ready
	$(BIN)/synbt demo -o $(DEMO_DIR) $(DEMO_OPTIONS)

test: lint
	$(BIN)/pytest -n 2

test-fast: lint
	$(BIN)/pytest -n 2 -m "not slow and not nightly" $(FAST)

nightly: $(VENV)/.ready-dev
	$(BIN)/pytest -n 2 -m nightly

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

compatibility: $(VENV)/.ready-dev
	$(BIN)/python benchmarks/compatibility.py -o build/compatibility

clean:
	rm -rf $(VENV) $(DEMO_DIR) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "synbt-aug needs Python 3.10 or newer with the venv module, and found none."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The demo trains and measures an nnU-Net; the tests need every extra.
$(VENV)/.ready: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e ".[nnunet,eval]"
	@touch $@

$(VENV)/.ready-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -e ".[all,dev]"
	@touch $@ $(VENV)/.ready
