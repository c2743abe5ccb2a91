# Everything runs in a virtual environment of its own; `make demo PYTHON=python3.12` picks the interpreter.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV ?= .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check --no-input

# Of pip's output, what tells that it moves on.
PROGRESS := awk '/^(Collecting|Processing)/ {n = split($$2, path, "/"); print "  " path[n]; fflush()} /^Installing collected/ {print "  unpacking ..."; fflush()}'

.PHONY: demo demo-full serve test lint format docs clean

demo: $(VENV)/.installed
	$(VENV)/bin/python -m t2t_multimodel.cli.demo --output_dir=demo_output

demo-full: $(VENV)/.installed
	$(VENV)/bin/python -m t2t_multimodel.cli.demo --full --output_dir=demo_output

# The demonstration's model in the browser; SERVE_FLAGS="--port=8000" adds flags.
serve: $(VENV)/.installed-web
	$(VENV)/bin/mm-serve --output_dir=demo_output $(SERVE_FLAGS)

# Two processes, each a file of tests at a time: TensorFlow starts slowly, and much of it runs on one core. In two parts, because TensorFlow
# keeps what it has traced for as long as a process lives: a process that runs all of them grows to 10 GB.
test: lint $(VENV)/.installed-dev-all
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadfile --ignore=tests/training --ignore=tests/runs --ignore=tests/distributed
	$(VENV)/bin/python -m pytest -q -n 2 --dist loadfile tests/training tests/runs tests/distributed

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# The page that is made from the code (a test compares it), and the documentation as a site in site/.
docs: $(VENV)/.installed-docs
	$(VENV)/bin/python -m t2t_multimodel.cli.hparams_help > docs/hyperparameters.md
	$(VENV)/bin/zensical build --strict

clean:
	rm -rf $(VENV) build site demo_output *.egg-info .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.installed: pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 11) <= v < (3, 14) or sys.exit(f"Python 3.11 to 3.13 is needed, $(PYTHON) is {v[0]}.{v[1]}; name another with PYTHON=python3.12")'
	@echo "Making $(VENV) (TensorFlow and what else is needed; a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -e . | $(PROGRESS)
	@touch $@

$(VENV)/.installed-web: $(VENV)/.installed
	@echo "Adding Gradio to $(VENV), for the page in the browser"
	@$(PIP) install -e '.[web]' | $(PROGRESS)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "Adding the tools for development to $(VENV)"
	@$(PIP) install -e '.[dev]' | $(PROGRESS)
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@echo "Adding the generator of the site to $(VENV)"
	@$(PIP) install -e '.[docs]' | $(PROGRESS)
	@touch $@

$(VENV)/.installed-dev-all: $(VENV)/.installed-dev
	@echo "Adding JAX, Apache Beam, Gradio, Playwright and the generator of the site to $(VENV), for the tests that need them"
	@$(PIP) install -e '.[dev-all]' | $(PROGRESS)
	@touch $@
