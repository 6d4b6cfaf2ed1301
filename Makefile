# make help lists the targets. Every one needs only make, git, python3 (3.11 or later) and a package index.
.DEFAULT_GOAL := help

SERVICE := {{cookiecutter.project_slug}}
include $(SERVICE)/uv.mk

# The environments of the template's own tools and of the service's source. Neither lies in the service's folder,
# because cookiecutter copies whatever lies there; for the same reason no cache is kept there.
TEMPLATE_ENVIRONMENT := $(CURDIR)/.venv/template
SERVICE_ENVIRONMENT := $(CURDIR)/.venv/service
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache

# --frozen: what the locks say, whatever index this machine is configured for. `make FROZEN= ...` uses that index.
FROZEN := --frozen
RUN := UV_PROJECT_ENVIRONMENT='$(TEMPLATE_ENVIRONMENT)' "$(UV)" run $(FROZEN)
RUN_IN_SERVICE := cd '$(SERVICE)' && UV_PROJECT_ENVIRONMENT='$(SERVICE_ENVIRONMENT)' "$(UV)" run $(FROZEN)

LOCK := env -u UV_INDEX -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS "$(UV)" --no-config lock --default-index https://pypi.org/simple
PYTHON_FOLDERS := $(wildcard benchmarks hooks scripts tests)
ARGS ?=

.PHONY: help generate demo test test-template test-service test-bare-service dashboards bench torture lift lift-diff lint types imports fmt lock clean

help:  ## show this list
	@echo 'Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' Makefile

generate: | $(UV_READY)  ## make a service from this template, with the default answers, in the folder INTO
	@$(RUN) cookiecutter --no-input --output-dir "$(or $(INTO),generated)" .

demo: | $(UV_READY)  ## generate a service, run it, and show each guard fire
	@$(RUN) python scripts/demo.py

test: | $(UV_READY)  ## run every test: the template's, and beside them those of fresh services, then the demo
	@"$(MAKE)" --no-print-directory -j3 test-template test-service test-bare-service demo

test-template: | $(UV_READY)  ## bake, refuse, boot, update: the template's own tests; ARGS goes to pytest
	@$(RUN) pytest --numprocesses 2 --dist loadgroup $(ARGS)

test-service: | $(UV_READY)  ## run `make check` and `make test` in a service fresh from the template
	@$(RUN) python -m tests.support.fresh with-example

test-bare-service: | $(UV_READY)  ## the same without the worked example: what could hang on that
	@$(RUN) python -m tests.support.fresh without-example

dashboards: | $(UV_READY)  ## run the demo beside a real Prometheus (apt install prometheus), and ask it every query of deploy/
	@$(RUN_IN_SERVICE) env TRAFFIC='"$(MAKE)" --no-print-directory -C "$(CURDIR)" demo' pytest tests/deploy/check_queries.py $(ARGS)

bench: | $(UV_READY)  ## measure the hardened service against bare FastAPI and the usual middleware
	@$(RUN) --group bench python benchmarks/run.py $(ARGS)
	@$(RUN) --group bench python benchmarks/data.py

torture: | $(UV_READY)  ## kill the service, flood it, take its database away, and count; about an hour; ARGS: see --help
	@$(RUN_IN_SERVICE) python -m tests.torture $(ARGS)

lift: | $(UV_READY)  ## copy one pattern and its test into a service that exists: PATTERN=retry INTO=../svc PACKAGE=svc.patterns
	@$(RUN) python scripts/lift.py lift --pattern "$(PATTERN)" --into "$(INTO)" --package "$(or $(PACKAGE),patterns)"

lift-diff: | $(UV_READY)  ## show what has changed here since patterns were lifted INTO a service
	@$(RUN) python scripts/lift.py diff --into "$(INTO)"

lint: | $(UV_READY)  ## check style and formatting, of the template and of the service
	@$(RUN) ruff check $(PYTHON_FOLDERS)
	@$(RUN) ruff format --check $(PYTHON_FOLDERS)
	@$(RUN_IN_SERVICE) ruff check .
	@$(RUN_IN_SERVICE) ruff format --check .

types: | $(UV_READY)  ## check types, of the template and of the service
	@$(RUN) mypy --cache-dir .mypy_cache/template
	@$(RUN_IN_SERVICE) mypy --cache-dir '$(CURDIR)/.mypy_cache/service'

imports: | $(UV_READY)  ## check who may import what in the service
	@$(RUN_IN_SERVICE) lint-imports --no-logo --cache-dir '$(CURDIR)/.import_linter_cache'

fmt: | $(UV_READY)  ## format, and mend what can be mended
	@$(RUN) ruff format $(PYTHON_FOLDERS)
	@$(RUN) ruff check --fix $(PYTHON_FOLDERS)
	@$(RUN_IN_SERVICE) ruff format .
	@$(RUN_IN_SERVICE) ruff check --fix .

lock: | $(UV_READY)  ## bring both lock files up to date, from the public index only; ARGS: --upgrade
	@$(LOCK) $(ARGS)
	@cd '$(SERVICE)' && $(LOCK) $(ARGS)

clean:  ## remove environments and caches
	@rm -rf .venv .uv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	@"$(MAKE)" --no-print-directory -C '$(SERVICE)' clean
