# Everything runs inside .venv, which is made on first use and brought up to date when pyproject.toml or constraints.txt change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FOLDERS := edge training quantization converters boards
LINKS := $(addprefix tinydet/,$(FOLDERS))

.DEFAULT_GOAL := help
.PHONY: help demo test lint format fuzz attack bench verify-tensorrt verify-npu verify-arm install clean
.DELETE_ON_ERROR:

help:  ## show this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(INSTALLED)  ## the whole chain on rendered scenes, down to a scored and timed INT8 detector
	$(BIN)/tinydet demo

test: lint  ## what must be green: lint, then every test but the timings
	$(BIN)/pytest

lint: $(INSTALLED)  ## ruff, codespell, mypy --strict
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/mypy

fuzz: $(INSTALLED)  ## every reader of outside files against random input, FUZZ_SECONDS each (60)
	TINYDET_FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) $(BIN)/pytest tests/unit/edge/files/test_fuzz.py

attack: $(INSTALLED)  ## every command with every kind of bad input, hours: build/attack.txt lists the wrong answers
	@mkdir -p build
	$(BIN)/python -m tests.attack --out build/attack.txt

bench: $(INSTALLED)  ## the timings, on an otherwise idle machine: build/bench.json, build/bench.md
	@mkdir -p build
	$(BIN)/pytest tests/benchmarks --benchmark-json build/bench.json; code=$$?; \
	  $(BIN)/python -m tests.benchmarks.table build/bench.json build/bench.md && cat build/bench.md; exit $$code

verify-tensorrt: $(INSTALLED)  ## type-check edge/runtimes/tensorrt.py against the bindings of TensorRT 10.3, 10.13 and 11.4
	boards/tensorrt/verify.sh $(BIN)/python

verify-npu: $(INSTALLED)  ## compile n for Intel NPUs; installs Wine and MinGW with apt (docs/npu.md)
	PYTHON=$(BIN)/python sh boards/npu/setup.sh build/npu
	$(BIN)/python -m tinydet.boards.npu.verify build/npu

verify-arm: $(INSTALLED)  ## run n on the emulated CPUs of Raspberry Pi 4 and 5, on scenes or DATA=FOLDER; installs QEMU with apt (docs/arm.md)
	PYTHON=$(BIN)/python sh boards/arm/setup.sh build/arm
	$(BIN)/python -m tinydet.boards.arm.verify build/arm $(if $(DATA),--data $(DATA))

format: $(INSTALLED)  ## put the code into the house's form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

install: $(INSTALLED)  ## make or update .venv

clean:  ## remove .venv, caches and build output; runs/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .benchmarks
	find $(FOLDERS) tests tinydet -name __pycache__ -prune -exec rm -rf {} +

$(LINKS):  # a clone has them, an unpacked sdist has not
	ln -s ../$(@F) $@

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python $(LINKS)
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[convert,tflite-convert,dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null || { \
	  echo "error: expected Python 3.10, 3.11 or 3.12, got $$($(PYTHON) --version 2>&1 | head -n 1) as '$(PYTHON)':" \
	    "name another one, as in: make $(or $(MAKECMDGOALS),test) PYTHON=python3.11" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "error: '$(PYTHON)' cannot make virtual environments: install its venv package, as in: apt install python3-venv" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
