# Everything a developer types. Each target builds what it needs first, so nothing has to be installed by hand.
PYTHON ?= python3
ARGS ?=
VENV := .venv/bin
NODE := tests/support/node

# A .venv of another Python, or one that was moved, is stale: the stamp says which it was made with.
$(shell [ "$$(cat .venv/.production 2>/dev/null)" = "$$(sh scripts/install.sh identity)" ] || rm -f .venv/.production)

.PHONY: install run dev test check bench chaos doctor screenshots lock clean install-node

install: .venv/.production ## production packages into .venv

run: .venv/.production ## Redis if none is named, a model if none is configured, web tier, worker
	@sh scripts/install.sh local
	@$(VENV)/python -m scripts.run $(ARGS)

dev: .venv/.production ## the same, reloading what changes
	@sh scripts/install.sh local
	@$(VENV)/python -m scripts.run --dev $(ARGS)

# Most tests wait most of the time, so three files run side by side.
test: .venv/.dev install-node ## every test; make test ARGS="tests/unit -k name" for some
	@PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m pytest $(or $(ARGS),--numprocesses 3 --dist loadfile --no-loadscope-reorder)
	@if [ -z "$(ARGS)" ] && [ -d tests/unit_js ]; then node --test tests/unit_js/; fi

check: .venv/.dev ## formatter, linter, types, architecture
	@$(VENV)/ruff format --check .
	@$(VENV)/ruff check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports

bench: .venv/.dev ## what Parley costs, next to its peers; never part of the tests; make bench ARGS=tokens for one
	@$(VENV)/python -m bench $(ARGS)

chaos: .venv/.dev ## the long fault injection; make chaos ARGS="--seed 3 --seconds 200 --mode eventlet"
	@PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m tests.chaos $(ARGS)

screenshots: .venv/.dev ## the page's states into docs/screenshots
	@PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python -m tests.e2e.screenshots $(ARGS)

doctor: .venv/.production ## looks at Redis, providers and workers, and says what to change
	@$(VENV)/python -m scripts.doctor

lock: ## requirements*.txt from pyproject.toml's ranges; make lock ARGS=--upgrade for newer versions
	@sh scripts/lock.sh $(ARGS)

clean: ## .venv, caches and Node packages; never .data
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache $(NODE)/node_modules
	@find app tasks scripts tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.production: requirements.txt
	@PYTHON="$(PYTHON)" sh scripts/install.sh production

.venv/.dev: .venv/.production requirements-dev.txt requirements-local.txt
	@sh scripts/install.sh dev

install-node: $(if $(wildcard $(NODE)/package.json),$(NODE)/node_modules/.stamp)

$(NODE)/node_modules/.stamp: $(NODE)/package.json $(NODE)/package-lock.json
	@sh scripts/install.sh node
