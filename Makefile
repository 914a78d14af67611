# Two commands need nothing but python3 and make: `make demo` and `make test`.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# Unbuffered, so that the lines that pip prints are seen while it works.
INSTALL := PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check \
	--progress-bar off --editable
# Of pip's lines those that show progress.
SHOW := sed -u -n -E 's/^(Collecting|Downloading|Building|Installing|Successfully) /  &/p' \
	| cut -c 1-100

.PHONY: demo test lint clean

demo: $(VENV)/installed-nomul
	@$(BIN)/nomul demo

# One thread a process: the processes already take all cores.
test: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy quant rtl compiler sim boards nomul benchmarks

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
		f"NoMul needs Python 3.11 or newer, $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=python3.11 ...")'
	@echo "Making the virtual environment $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed-nomul: pyproject.toml | $(BIN)/python
	@echo "Installing NoMul and what it needs (once, some minutes)"
	@$(INSTALL) . | $(SHOW)
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(BIN)/python
	@echo "Installing NoMul with its test tools (once, some minutes)"
	@$(INSTALL) '.[test]' | $(SHOW)
	@touch $(VENV)/installed-nomul $@
