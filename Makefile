# Everything one does with this repository. `make serve` and `make test` need nothing done before.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help serve test check bench prove assets lock setup clean

bin := .venv/bin
alone := podman or e2e
quick := not slow and not postgresql and not prove and not ($(alone))

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: ## Run Forebay with a demo cloud, data in ./forebay-data (options: ARGS="--port 9000")
	@scripts/setup serve
	@scripts/as-root $(bin)/forebay image build
	@exec scripts/as-root $(bin)/forebay serve --demo $(ARGS)

test: check ## Everything that must hold: check, and all tests with PostgreSQL and real machines
	@scripts/setup test
	$(bin)/pytest -n 2 -m "(slow or postgresql) and not prove and not ($(alone))"
	scripts/as-root $(bin)/pytest -p no:cacheprovider -m "($(alone)) and not prove"

check: ## The same in under a minute: format, lint, types, imports, unit tests on SQLite
	@scripts/setup check
	$(bin)/ruff format --check --quiet
	$(bin)/ruff check --quiet
	$(bin)/lint-imports --no-logo
	$(bin)/mypy
	$(bin)/pytest -n 2 -m "$(quick)"

bench: ## Measure Forebay against named peers and limits
	@scripts/setup test
	scripts/as-root $(bin)/python -m benchmarks $(ARGS)

prove: ## The big sizes of the property and simulation tests; prints its seeds
	@scripts/setup test
	PROVE=1 scripts/as-root $(bin)/pytest -p no:cacheprovider -o faulthandler_timeout=3600 -s -m "prove or grows or hypothesis" $(ARGS)

assets: ## Build the style and the scripts of the pages anew, from assets/ into src/forebay/web/static/
	@scripts/setup check
	@scripts/assets

lock: ## Resolve the dependencies anew into requirements*.lock (the newest: ARGS=--upgrade)
	@scripts/setup check
	@scripts/lock $(ARGS)

setup: ## Install what working on Forebay needs, and nothing else
	@scripts/setup test

clean: ## Remove what was made here but the data: .venv and caches
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf assets/node_modules assets/.basecoat.css tests/lighthouse/node_modules
	find src tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
