# Each target makes the environment that it needs, if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TERMINAL := .venv-terminal
TERMINAL_READY := $(TERMINAL)/.ready
# The terminal's tests run a bundle that the full environment has built.
TERMINAL_BUNDLE := $(TERMINAL)/model.bundle

export HF_HUB_OFFLINE ?= 1

.PHONY: help install demo test test-all test-terminal check format clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

install: $(READY)  ## Make the environment.

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

demo: $(READY)  ## Run the main job: a real clip, two processes, a fading link, six policies.
	$(BIN)/adaedge demo

test: $(READY)  ## Run the tests (under 10 minutes on 2 cores, no network).
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"

test-all: $(READY)  ## Run the tests, the slow ones too.
	$(BIN)/python -m pytest -n 2 --dist loadgroup

$(TERMINAL_READY): pyproject.toml
	$(PYTHON) -m venv --clear $(TERMINAL)  # what is not required any more must be gone
	$(TERMINAL)/bin/python -m pip install --quiet pytest
	@touch $@

# Installed as a user does it, and anew each time: a copy of the package, and what it needs.
test-terminal: $(READY) $(TERMINAL_READY)  ## Test what runs on a terminal, in an environment without torch.
	rm -rf $(TERMINAL_BUNDLE) build
	$(BIN)/python tests/terminal_only/pictures.py $(TERMINAL)/pictures
	$(BIN)/adaedge build timm:resnet10t --random-weights --splits layer1,layer2 --widths 1,0.5 --precisions fp32 \
		--codecs raw,u8,u4,jpeg@90,bottleneck --images $(TERMINAL)/pictures -o $(TERMINAL_BUNDLE)
	$(TERMINAL)/bin/python -m pip install --quiet .
	cd tests/terminal_only && ADAEDGE_BUNDLE=../../$(TERMINAL_BUNDLE) ../../$(TERMINAL)/bin/python -m pytest -c pytest.ini .

check: $(READY)  ## Lint and type-check.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove the environments and what was made.
	rm -rf $(VENV) $(TERMINAL) build demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
