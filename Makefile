# `make demo` and `make test` are all that a newcomer needs; each makes the environment first.
# PYTHON=... picks its interpreter; after a change of it, `make clean` first.

.PHONY: help demo test test-light test-cluster check format lock clean
.SUFFIXES:

# Two processes of one thread fill a small machine, and no sum depends on how many cores there are.
test test-light test-cluster check: export OMP_NUM_THREADS = 1
test test-light test-cluster check: export MKL_NUM_THREADS = 1
IN_PARALLEL := --numprocesses 2 --dist loadfile
# Pythons besides .venv's own, and the rooms that a login node has: their tests need no torch.
LIGHT_PYTHONS := 3.12 3.13
# A kill hits the same files on every Python: the minutes that these tests take are spent on one.
LIGHT_TESTS = $(wildcard $(addprefix tests/,light contracts/test_settings.py \
    settings golden plan ledger store results cluster report cli)) \
    --ignore tests/store/test_protocol_survives_kills.py

# The Quantus that published scores come from: tests compare with it, and nothing else needs it.
ORACLE := .oracle/quantus-0.5.3

help:
	@sed -n 's/^## //p' Makefile

## make demo     train, prune and explain small networks on this machine; ends with a table
demo: .venv/ready
	@.venv/bin/mtljobs submit --grid demo --executor local

## make test     all tests; the torch-free rooms also on other Pythons, where these are installed
test: .venv/ready $(ORACLE)/ready
	.venv/bin/python -m pytest $(IN_PARALLEL)
	@$(MAKE) --no-print-directory test-light

test-light: $(LIGHT_PYTHONS:%=test-light-%)

test-light-%:
	@if .ci/find-python $(call named,$*) >/dev/null 2>&1; then \
	    $(MAKE) --no-print-directory .venv-$*/ready && \
	    .venv-$*/bin/python -m pytest $(IN_PARALLEL) $(LIGHT_TESTS); \
	else echo "Python $* is not installed: the torch-free rooms are not tested on it here."; fi

## make test-cluster   tests on a real Slurm, installed by it; on Debian, as root
test-cluster: .venv/ready
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    containers/testbed/install.sh || echo "Not all is installed: tests that need it are skipped."; \
	fi
	.venv/bin/python -m pytest $(IN_PARALLEL) -m testbed tests/cluster

## make check    formatting, lint, types, import contracts, doctests
check: .venv/ready
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy --strict
	.venv/bin/lint-imports --no-logo
	.venv/bin/python -m pytest --quiet --doctest-modules mtljobs

## make format   format, and mend what ruff can mend
format: .venv/ready
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

## make lock     pin the packages again after a change of dependencies; needs uv
lock:
	containers/lock.sh

## make clean    remove environments and caches; results in runs/ stay
clean:
	rm -rf .venv $(LIGHT_PYTHONS:%=.venv-%) .oracle dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find $(wildcard mtljobs tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +

# An environment is `locked` once exactly its lock's packages are installed, `ready` once mtljobs
# is too. These files are written last: an interrupted installation leaves none, and the next
# `make` starts it again from an empty folder.

.venv/locked: containers/dev.lock
	@python=$$(.ci/find-python $(or $(PYTHON),python3 python3.13 python3.12 python3.11)) && \
	    $(install-lock)

.venv-%/locked: containers/light.lock
	@python=$$(.ci/find-python $(call named,$*)) && $(install-lock)

%/ready: %/locked pyproject.toml
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps --no-build-isolation --editable .
	@touch $@

# Beside the newer Quantus of .venv, so in a folder of its own: a subprocess puts it on its path.
$(ORACLE)/ready: containers/oracle.lock | .venv/locked
	@rm -rf $(@D)
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check \
	    --require-hashes --no-deps --only-binary :all: --target $(@D) -r $<
	@touch $@

.PRECIOUS: .venv-%/locked .venv-%/ready

# Commands that a Python of this version may have; pyenv's are often not on PATH.
named = python$(1) $(wildcard $(HOME)/.pyenv/versions/$(1).*/bin/python)

# On a terminal pip shows its progress; in a log the first line says enough.
define install-lock
echo "Installing $< into $(@D) with $$python; this takes minutes, once." && rm -f $@ && \
    "$$python" -m venv --clear $(@D) && \
    $(@D)/bin/python -m pip install $$(test -t 1 || echo --quiet) --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r $< && touch $@
endef
