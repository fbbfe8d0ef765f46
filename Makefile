# Every target works on a fresh Debian machine with Go and make; what else a
# target needs, it installs (scripts/install-deps, or into .bin/).

SHELL := /bin/sh
GO ?= go
BIN := $(CURDIR)/.bin
GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION)
TEST_TIMEOUT ?= 8m
SEEDS ?= 20000
DURATION ?= 60s
PROTO_FILES := $(wildcard cluster/gateway/gatewaypb/*.proto)

.DEFAULT_GOAL := help
.PHONY: help demo build test check lint vet fmt-check tidy-check generate generate-check model lease torture mutants bench deps clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Run three coordinators and two workers in one process and kill the leader half-way
	$(GO) run ./cmd/coordd demo

build: ## Build bin/coordd; RELEASE=v1.2.3 names the release
	$(GO) build -ldflags "-X main.release=$(RELEASE)" -o bin/coordd ./cmd/coordd

test: deps ## Run every test against real ZooKeeper, with the race detector
	$(GO) test -race -timeout $(TEST_TIMEOUT) ./...
	cd examples && $(GO) test -timeout $(TEST_TIMEOUT) ./...

check: fmt-check tidy-check generate-check vet lint test ## Run what a change has to pass: format, tidy, generated code, vet, lint, test

lint: $(GOLANGCI_LINT) ## Run golangci-lint with .golangci.yml
	$(GOLANGCI_LINT) run ./...

vet: ## Run go vet, in the modules beside this one too
	$(GO) vet ./...
	cd examples && $(GO) vet ./...
	cd scripts/protogen && $(GO) vet ./...

fmt-check: ## Fail if a file is not formatted by gofmt
	@files=$$(gofmt -l .); \
	if [ -n "$$files" ]; then echo "Not formatted; run gofmt -w on:"; echo "$$files"; exit 1; fi

tidy-check: ## Fail if go.mod or go.sum is not tidy
	@$(GO) mod tidy -diff || { echo "go.mod or go.sum is not tidy; run: go mod tidy"; exit 1; }

generate: ## Generate Go code from the .proto files
	cd scripts/protogen && $(GO) run . -root ../.. $(PROTO_FILES)

generate-check: ## Fail if generated code is not what its .proto files say
	cd scripts/protogen && $(GO) run . -check -root ../.. $(PROTO_FILES)

model: deps ## Check the Spin models of latch, guard and lease
	@docs/model/check.sh

lease: ## Try 20,000 random histories of faults against the lease; SEEDS=n tries n
	COORDD_LEASE_SEEDS=$(SEEDS) GOGC=400 $(GO) test -count=1 -timeout 30m -run TestALeaseEndsBefore -v ./election/zk

torture: deps ## Kill, pause and cut off real processes under load for a minute; DURATION=10m for ten, SEED=n again
	$(GO) run ./e2e/torture --duration $(DURATION) $(if $(SEED),--seed $(SEED))

mutants: deps ## Break our own safety code in each known way; a test must turn red
	$(GO) run ./mutants

bench: deps ## Run the benchmarks: those of the packages, then the commands in bench/
	$(GO) test -run '^$$' -bench . -benchmem -timeout $(TEST_TIMEOUT) ./...
	@for main in bench/*/main.go; do \
		[ -e "$$main" ] || continue; \
		echo "==> $$(dirname $$main)"; \
		$(GO) run "./$$(dirname $$main)" || exit 1; \
	done

deps: ## Install what the tests need: ZooKeeper, Curator, Java, a C compiler
	@scripts/install-deps

clean: ## Remove what the Makefile built and installed
	rm -rf bin .bin

$(GOLANGCI_LINT):
	@echo "Installing golangci-lint $(GOLANGCI_LINT_VERSION) into .bin (about a minute, once)"
	GOFLAGS= GOBIN=$(BIN)/tmp $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(BIN)/tmp/golangci-lint $@ && rmdir $(BIN)/tmp
