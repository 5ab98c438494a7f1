# Trialmesh. `make` alone prints the targets; everything made lies in bin/ and build/,
# but for the page, which the program embeds: hub/page/dist.
#
# What a build says goes to standard error: the last line of standard output of
# `make demo ARGS="--once --json"` is the demo's.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := $(CURDIR)/build/tools
export PATH := $(TOOLS):$(PATH)

.PHONY: help build contracts page clients demo test prepare lint bench clean

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: contracts page ## build bin/trialmesh and bin/trialmesh-lab
	@[ "$$(go env CGO_ENABLED)" = 1 ] || { echo "build: SQLite needs cgo and a C compiler: apt-get install gcc libc6-dev" >&2; exit 1; }
	@go build -tags nomsgpack -o bin/trialmesh . >&2
	@go build -tags nomsgpack -o bin/trialmesh-lab ./simulations/lab >&2

contracts: ## compile the Solidity sources if the committed artifacts are not theirs
	@deploy/ci/contracts.sh >&2

page: ## build the page that verifies evidence in a browser
	@deploy/ci/page.sh >&2

clients: ## generate the types of protocol/sdk again after a change of the node's OpenAPI document
	@python3 protocol/sdk/python/generate.py
	@npm --prefix protocol/sdk/typescript run --silent generate

demo: build ## run three hospitals, a hub and a chain here: ARGS="--once --json"
	@bin/trialmesh-lab demo $(ARGS)

test: prepare page ## install what the tests need, then run all with the race detector
	@deploy/ci/test.sh $(TESTFLAGS)

prepare: ## install what the tests need: PostgreSQL, geth, clef, npm packages
	@deploy/ci/prepare.sh >&2

lint: ## check formatting, vet, and run golangci-lint
	@deploy/ci/lint.sh

bench: ## measure, and write build/bench.json
	@deploy/bench/run.sh

clean: ## remove what was built; downloads and Go's cache stay
	@rm -rf bin build hub/page/dist/verify.html
