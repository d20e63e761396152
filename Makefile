# Everything runs in .venv, made on first use. Needs Python 3.11 or newer: nothing else, no GPU.
#
#   make demo                                     the loop on a simulated world: a minute and a half
#   make demo EVENTS=log.parquet ITEMS=items.parquet POSITIVE="value >= 7"     the same on your log
#   make test                                     the whole test suite, on all cores
#   make test-unit                                what neither trains nor starts processes: about two minutes
#   make check                                    style, types, layers
#   make docs                                     the documentation site, into site/

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
TORCH := 2.13.0

DIR ?= $(if $(EVENTS),demo-own,demo)
EVENTS ?=
ITEMS ?=
POSITIVE ?=
# through the environment, so that quotes and spaces in a rule reach freshet as they are
export EVENTS ITEMS POSITIVE DIR

.PHONY: demo test test-unit check docs clean

demo: $(READY)
	@set -- "$$DIR"; \
	if [ -n "$$EVENTS" ]; then set -- "$$@" --events "$$EVENTS"; fi; \
	if [ -n "$$ITEMS" ]; then set -- "$$@" --items "$$ITEMS"; fi; \
	if [ -n "$$POSITIVE" ]; then set -- "$$@" --positive "$$POSITIVE"; fi; \
	$(BIN)/freshet demo "$$@"

# one process a core; who has no tests left takes some of another's
PYTEST := $(BIN)/python -m pytest -n logical --dist worksteal
# hundreds of processes are started, which are to find what they import compiled
test test-unit: export PYTHONDONTWRITEBYTECODE :=

test: $(READY)
	$(PYTEST)

test-unit: $(READY)
	$(PYTEST) -m "not slow"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv demo demo-own site

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Freshet needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv is missing; on Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# the CPU build is a tenth of the other; where its index can't be reached, whatever pip is set up to find
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install -q "torch==$(TORCH)"
	$(BIN)/python -m pip install -q -e ".[local,serve,redis,buckets,kafka,ray,mlflow,openlineage,otel,wordllama,dev,docs]"
	@touch $@
