# make quickstart   install, then train a small generator on the embedded faces (a few minutes on two cores)
# make test         install, then run the tests; PYTEST_ARGS="-k architecture" narrows them
# make lint         style and types
# VENV=/elsewhere/x keeps the environment out of the clone.

VENV ?= .venv
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.13; do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PYTEST_ARGS ?=

# The environment is renewed when the content of pyproject.toml changes, whatever its date.
STAMP := $(VENV)/installed-$(shell cksum < pyproject.toml | cut -d ' ' -f 1)
RUN := PYTHONPATH="$(CURDIR)/src" "$(VENV)/bin/python"

.PHONY: quickstart test lint venv

quickstart: venv
	$(RUN) train.py trainer.max_minutes=7

test: venv
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n 2 $(PYTEST_ARGS)

lint: venv
	$(RUN) -m ruff check .
	$(RUN) -m mypy

venv: $(STAMP)

$(STAMP):
	@test -n "$(PYTHON)" || { echo "anycost needs Python 3.11 or newer with its venv module: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv "$(VENV)"
	"$(VENV)/bin/python" -m pip install --quiet --upgrade pip
	"$(VENV)/bin/python" -m pip install --quiet --editable ".[dev]"
	@rm -f "$(VENV)"/installed-*
	@touch "$@"
