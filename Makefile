# Each target makes the environment that it needs, if it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs
AXE := $(VENV)/axe-core/axe.min.js
TERMINAL := .venv-terminal
TERMINAL_READY := $(TERMINAL)/.ready
# The terminal's tests run a bundle that the full environment has built.
TERMINAL_BUNDLE := terminal.bundle
WHEELS := .venv-wheels
WHEELS_READY := $(WHEELS)/.ready
# An arm64 Debian, the emulator that runs its Python, and aarch64 wheels.
ARM := .sysroot-arm
ARM_READY := $(ARM)/.ready
ARM_PYTHON := $(CURDIR)/$(ARM)/env/bin/python
# What runs on a terminal, but not what is told by the clock: an edge server that must answer within 0.1 s under faults,
# or a second beside hostile terminals, is too slow emulated.
ARM_TESTS := payload channel energy scheduling bundle runtime test_operating_point.py test_errors.py test_engine.py \
	--ignore runtime/test_faults.py --ignore runtime/test_hostile_terminals.py

export HF_HUB_OFFLINE ?= 1

.PHONY: help install demo docs test test-all accessibility terminal-bundle test-terminal wheels arm test-arm test-arm-bytes check format clean

help:  ## List the targets.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/'

install: $(READY)  ## Make the environment.

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

demo: $(READY)  ## Run the main job: a robot that watches real clips, two processes, a fading link, three radios.
	$(BIN)/adaedge demo

$(DOCS_READY): pyproject.toml | $(READY)
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	@touch $@

docs: $(DOCS_READY)  ## Build the site into site/index.html, strictly; once its tools are here, without network.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(AXE):
	mkdir -p $(dir $@)
	cd $(dir $@) && npm pack --silent axe-core@4 && tar xzf axe-core-*.tgz --strip-components=1 package/axe.min.js

accessibility: docs $(AXE)  ## Check site and reports with axe-core in Chromium (fetches axe-core from npm).
	$(BIN)/python .ci/accessibility.py site --axe $(AXE)

test: $(READY)  ## Run the tests (under 10 minutes on 2 cores, no network).
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: $(READY)  ## Run the tests, the slow ones too, with new examples.
	$(BIN)/python -m pytest -n 2 --dist loadgroup --hypothesis-profile explore

$(TERMINAL_READY): pyproject.toml
	$(PYTHON) -m venv --clear $(TERMINAL)  # what is not required any more must be gone
	$(TERMINAL)/bin/python -m pip install --quiet pytest
	@touch $@

terminal-bundle: $(READY)
	rm -rf $(TERMINAL_BUNDLE) build
	$(BIN)/python tests/terminal_only/pictures.py build/pictures
	$(BIN)/adaedge build timm:test_resnet --random-weights --splits layer1,layer2 --widths 1,0.5 --precisions fp32 \
		--codecs raw,u8,u4,u4+zstd,u4+range,jpeg@90,webp@90,bottleneck --images build/pictures -o $(TERMINAL_BUNDLE)

# Installed as a user does it, and anew each time: a copy of the package, and what it needs.
test-terminal: terminal-bundle $(TERMINAL_READY)  ## Test what runs on a terminal, in an environment without torch.
	rm -rf build
	$(TERMINAL)/bin/python -m pip install --quiet .
	cd tests/terminal_only && ADAEDGE_BUNDLE=../../$(TERMINAL_BUNDLE) ../../$(TERMINAL)/bin/python -m pytest -c pytest.ini .

$(WHEELS_READY): .ci/wheels.py
	$(PYTHON) -m venv $(WHEELS)
	$(WHEELS)/bin/python -m pip install --quiet "setuptools>=77" ziglang
	@touch $@

wheels: $(WHEELS_READY)  ## Build the wheels for x86-64 and aarch64 Linux into dist/.
	$(WHEELS)/bin/python .ci/wheels.py

$(ARM)/.debian: tests/arm/sysroot.py
	$(PYTHON) tests/arm/sysroot.py $(ARM)
	@touch $@

$(ARM_READY): $(ARM)/.debian tests/arm/packages.py pyproject.toml | $(READY)
	$(BIN)/python tests/arm/packages.py $(ARM)
	@touch $@

arm: terminal-bundle wheels $(ARM_READY)
	$(BIN)/python tests/arm/packages.py $(ARM) dist/*_aarch64.whl

# Emulated as an installed terminal, and with what stands beside it for the tests that write graphs and read clips.
ON_ARM = cd tests && ADAEDGE_BUNDLE=$(CURDIR)/$(TERMINAL_BUNDLE) ADAEDGE_HOST_PYTHON=$(CURDIR)/$(BIN)/python \
	$(ARM_PYTHON) -m pytest -c terminal_only/pytest.ini
BESIDE_ARM = cd tests && PYTHONPATH=$(CURDIR)/$(ARM)/beside $(ARM_PYTHON) -m pytest -c ../pyproject.toml -n 2 -m "not slow"

test-arm: arm  ## Test a terminal on ARM, emulated, against an edge server on this machine.
	$(BESIDE_ARM) $(ARM_TESTS)
	$(ON_ARM) terminal_only arm

test-arm-bytes: arm  ## Of test-arm what tells most in a few minutes: equal bytes, equal answers, an edge server on this machine.
	$(BESIDE_ARM) payload/test_entropy.py payload/test_latent_loops.py payload/test_latent_tables.py payload/test_range_coded.py stream/test_looks.py bundle/test_axis_filter.py
	$(ON_ARM) arm

check: $(READY)  ## Lint and type-check.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## Remove the environments and what was made.
	rm -rf $(VENV) $(TERMINAL) $(TERMINAL_BUNDLE) $(WHEELS) $(ARM) build dist demo site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
