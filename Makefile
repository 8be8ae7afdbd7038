# Everything a developer types. Each target sets up what it needs by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the benchmark is run beside; nothing else needs them.
PEERS := .venv-peers
# The lab's machines are containers of systemd-nspawn made by mmdebstrap.
LAB_PACKAGES := systemd-container mmdebstrap iproute2 nftables openssh-client dash busybox
# Tests drive completion in these shells, and have the Vagrantfile checked.
TEST_PACKAGES := fish zsh vagrant vagrant-libvirt tcsh

.PHONY: demo test lint docs bench sim failover watching faults clean setup system

demo: setup system  ## three real systemd machines, fleet's tutorial on them, a failover; all taken down again
	@scripts/demo $(BIN)/fleetssh

test: lint system  ## every test, the live ones on real machines included (root needed)
	@scripts/ensure-packages $(TEST_PACKAGES)
	$(BIN)/pytest --numprocesses 2

lint: setup  ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

sim: setup  ## SEEDS=1000 storms over simulated clusters, or the story of one SEED
	$(BIN)/python -m tests.sim.run $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

docs: setup  ## docs/cli.md, from the program itself
	$(BIN)/python scripts/cli_reference.py

bench: setup system $(PEERS)/.ready  ## every figure beside a floor, fleet, ansible and pyinfra (root needed)
	$(BIN)/python -m bench

failover: setup system  ## power cuts under 'fleetssh run': until units run elsewhere (root needed; some minutes)
	$(BIN)/python -m bench failover

watching: setup system  ## 'fleetssh run' over 40 machines for ten minutes: what it costs, and what grows (root needed)
	$(BIN)/python -m bench watching

faults: setup system  ## the table of faults of docs/operations.md, on real machines (root needed; some minutes)
	$(BIN)/python -m bench faults

setup: $(VENV)/.ready

$(PEERS)/.ready:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check ansible-core pyinfra 2>&1 | { grep -v 'is ignored: it is neither' || :; }
	@$(PEERS)/bin/pyinfra --version >/dev/null && touch $@

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]' 2>&1 | { grep -v 'is ignored: it is neither' || :; }
	@$(BIN)/fleetssh --version >/dev/null || { echo "setting up $(VENV) failed" >&2; exit 1; }
	@touch $@

system:  ## the programs the lab is made of
	@scripts/ensure-packages $(LAB_PACKAGES)

clean:
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
