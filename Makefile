# make demo   shows all of it on a real cluster       make test   runs all checks
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SANDBOX := $(PY) -m dev.sandbox
INSIDE = $(if $(E2E_KUBECONFIG),,$(SANDBOX) exec --) env $(if $(FULL),FULL=$(FULL))
IMAGE ?= localhost/gitops-runtime-auth:dev
ENGINE ?= docker
DIST ?= dist
LOCK := uv pip compile -q --universal --generate-hashes
VERSION := $(shell sed -n 's/^version: //p' chart/Chart.yaml)

.PHONY: help demo test test-fast test-chart test-e2e test-faults test-zoo mutants chart-mutants soak bench lint format generate image release-check package lock audit up down venv

help: ## Show the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: venv tools ## From nothing to an authenticated Runtime, on a real cluster with a real Argo CD
	@$(PY) -m dev.demo

test: venv ## Everything: lint, unit, chart, docs, and the end-to-end tests on the cluster
	@$(PY) -m dev.check_all

test-fast: venv ## The same without the cluster
	@$(PY) -m dev.check_all --fast

lint: venv ## ruff, mypy, who may import whom, yamllint, actionlint
	@$(PY) -m dev.check_all --only lint

test-chart: venv tools ## The values contract under helm 3, helm 4 and Python; helm unittest; ct lint, ct install
	@$(PY) -m dev.check_all --only chart
	@$(PY) -m pytest -q tests/e2e/test_chart_testing*.py

test-e2e: up ## The end-to-end tests alone
	@$(PY) -m pytest -m "not zoo" tests/e2e

test-zoo: up ## Beside Flux, the argocd-operator, External Secrets and kube-router, which are built for it (12 minutes, once)
	@$(PY) -m pytest -m zoo tests/e2e

test-faults: up ## Faults between hook and servers; FULL=1 for all of them
	@$(if $(E2E_KUBECONFIG),$(if $(FAULTS_ARGOCD),,echo "The faults dial Argo CD from this machine: set FAULTS_ARGOCD=HOST:PORT" >&2; exit 1))
	@$(INSIDE) $(PY) -m pytest -q -n3 --dist=loadfile --no-loadscope-reorder -m "not alone" tests/faults
	@$(INSIDE) $(PY) -m pytest -q -m alone tests/faults

soak: up ## An hour of revocations, deletions and restarts (SOAK_SECONDS)
	@SOAK_SECONDS=$${SOAK_SECONDS:-3600} $(PY) -m pytest -s tests/soak

mutants: venv tools ## Change the code one small thing at a time: do the unit tests notice? CHANGED=1, FOLDERS="keys kube", MINUTES=60
	@$(PY) -m dev.mutants $(if $(CHANGED),--changed) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(OFFSET),--offset $(OFFSET)) $(FOLDERS)

chart-mutants: venv tools ## The same for the chart and its tests; CHANGED=1, SAMPLE=20 for every twentieth
	@$(PY) -m dev.chart_mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(OFFSET),--offset $(OFFSET))

bench: up ## Measure what an install costs, beside what people do today; writes docs/performance.*
	@$(PY) -m dev.bench

format: venv ## Format the Python code
	@$(VENV)/bin/ruff format -q . && $(VENV)/bin/ruff check -q --fix .

generate: venv tools ## Write what is generated: the README of the chart, and the lists of keys in schema and NOTES
	@$(PY) -m dev.generate

release-check: venv ## Prove that chart, image, package and changelog agree on the version (TAG, PUSHED=image)
	@$(PY) -m dev.release_check $(if $(TAG),--tag $(TAG)) $(if $(PUSHED),--image $(PUSHED))

package: venv tools ## What a release publishes beside the image: wheel and sdist in dist/python, chart in dist/chart
	@rm -rf $(DIST)/python $(DIST)/chart
	@$(PY) -m hatchling build -d $(abspath $(DIST))/python
	@$$($(SANDBOX) tools)/helm package chart -d $(DIST)/chart

lock: ## Write the lock files anew (needs uv: pipx install uv)
	@$(LOCK) --output-file=requirements.lock pyproject.toml
	@$(LOCK) --group=dev --output-file=requirements-dev.lock pyproject.toml
	@$(LOCK) --group=build --output-file=requirements-build.lock

audit: ## Show known vulnerabilities of the image's packages (needs pipx)
	@pipx run pip-audit==2.10.1 --strict --disable-pip --require-hashes -r requirements.lock

image: ## Build the image with Docker (or ENGINE=podman) as IMAGE
	$(ENGINE) build --build-arg VERSION=$(VERSION) -t $(IMAGE) .

up: venv tools ## Bring the sandbox up and load the image
	@if [ -z "$$E2E_KUBECONFIG" ]; then $(SANDBOX) up && $(SANDBOX) load-image; fi

down: venv ## Remove the sandbox; what was built stays cached
	@$(SANDBOX) down

.PHONY: tools
tools: venv ## Build the client programs (helm, ct, argocd, ...), once
	@$(SANDBOX) tools > /dev/null

venv: $(VENV)/.made

$(VENV)/.made: requirements-dev.lock pyproject.toml
	@echo "  Python packages ..." >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(VENV)/bin/pip install -q --require-hashes -r requirements-dev.lock
	@$(VENV)/bin/pip install -q --no-deps --no-build-isolation -e .
	@touch $@
