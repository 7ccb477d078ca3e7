# onefold: `make` alone lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
.PHONY: help setup demo test bench-landing minio up-local down-local image image-test chaos fuzz lint format lock secrets clean bench-identity

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## everything into .venv: the product and the tools that test it
	@infra/setup.sh dev

demo: ## set up what the product needs, run the main job on real data, and go on serving
	@infra/setup.sh run
	@$(BIN)/onefold demo

test: setup lint ## set up, then lint and run every test that this machine can run
	@infra/minio/get.sh || echo "make test: goes on without MinIO" >&2
	@infra/tables.sh || echo "make test: goes on without public tables" >&2
# Bytecode is kept whatever the environment says: hundreds of processes start, and would each compile everything.
	@PYTHONDONTWRITEBYTECODE= PYTHONPATH=tests $(BIN)/pytest -p lanes -n 3 --dist loadfile --no-loadscope-reorder

minio: ## the MinIO server and its client into .tools/minio: from PATH, by docker, or built by Go
	@infra/minio/get.sh

bench-landing: setup ## how fast sources land with all guarantees, beside peers; ARGS="--scale 0.1 --gigabytes 0.2" for a look
	@infra/minio/get.sh || echo "bench-landing: goes on without MinIO" >&2
	@$(BIN)/python tests/bench/landing.py $(ARGS)

chaos: setup ## kill whole runs at any moment and see the next one complete them; minutes
	@$(BIN)/pytest -m chaos

fuzz: setup ## land ten thousand damaged files of every format; half an hour
	@$(BIN)/pytest -n 2 -m fuzz tests/chaos/test_ten_thousand_files.py

bench-identity: setup ## identity resolution beside Splink on a generated million; half an hour
	@infra/peer.sh splink tests/bench/requirements-splink.txt
	@PYTHONPATH=tests/bench $(BIN)/python tests/bench/identity.py $(ARGS)

lint: setup ## style, types, and the import rules of the four floors
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## bring the code to the one style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

lock: ## make the pinned requirements again from pyproject.toml, with the newest versions that fit
	@infra/lock.sh

up-local: minio ## the services of docker-compose.yml as processes here: ONLY="api-1 …" SCALE=dask-worker=3 PROFILE=monitoring
	@infra/setup.sh run
	@infra/secrets.sh
	@$(BIN)/python -m infra.local up $(addprefix --scale ,$(SCALE)) $(addprefix --profile ,$(PROFILE)) $(ONLY)

down-local: ## end what make up-local started; what it keeps stays in $ONEFOLD_HOME/local
	@$(BIN)/python -m infra.local down

image: ## the product's images, with docker, podman or buildah
	@infra/image.sh

image-test: setup ## build the images with buildah and ask their entry points; minutes
	@$(BIN)/pytest -m image tests/infra

secrets: ## random secrets for docker-compose.yml into .env, where one is missing
	@infra/secrets.sh

clean: ## remove what tools made; keeps .onefold, which holds data
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find platform flows workers storage tests -name __pycache__ -type d -prune -exec rm -rf {} +
