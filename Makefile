# From a clone to a result with nothing but Python 3.11, git and make:
#   make tune      set up, then run the whole pipeline on the data that params.yaml names
#   make test      set up, then run all tests
#   make check     format, lint and types
#   make benchmark what Hone costs on top of training; make costs: what proposing trials costs
# Linux machines without a GPU save some gigabytes with PyTorch's CPU builds:
#   make tune PIP_ARGS="--extra-index-url <PyTorch's CPU wheel index>"

PYTHON ?= python3.11
PIP_ARGS ?=
# DVC starts a stage's command by its bare name: it must find this environment's python.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DO_NOT_TRACK = 1
export MLFLOW_DISABLE_TELEMETRY = true

.PHONY: setup tune test check format lock benchmark costs clean

setup: .venv/done

.venv/done: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c requirements.lock -e '.[dev]'
	touch .venv/done

tune: setup
	python -m flows.cli tune

test: setup
	python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: setup
	ruff format --check .
	ruff check .
	mypy

format: setup
	ruff format .
	ruff check --fix .

# Resolve afresh, then commit the result: everybody installs what is in it.
lock:
	rm -rf .venv
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev]'
	.venv/bin/python -m pip freeze --exclude-editable | sed -E 's/\+cpu$$//' > requirements.lock
	touch .venv/done

benchmark: setup
	python -m benchmarks.overhead

costs: setup
	python -m benchmarks.ask_cost
	python -m benchmarks.simulation

clean:
	rm -rf .work artifacts data/split data/raw/ingested dvc.lock
