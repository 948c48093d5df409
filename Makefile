# make help lists the targets. Go is all that most of them need.
GO ?= go
# A number of runs, as a duration that ends amid a run makes the fuzzer fail with "context deadline exceeded".
FUZZTIME ?= 10000x

.PHONY: help build image-files image test test-race lint fuzz conformance deploy-test generate bench-proxy bench-proxy-smoke twin bench demo demo-smoke clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/penstock
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/penstock ./cmd/penstock

test: ## run all tests
	$(GO) test ./...

test-race: ## run all tests with the race detector
	$(GO) test -race ./...

lint: ## formatting, vet (on two systems) and staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./gateway/... ./balancer/... ./config/...
	$(GO) tool staticcheck ./...

fuzz: ## run every fuzz target FUZZTIME (10000x) times
	@set -e; for f in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
		for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$f); do \
			echo "$$t in $$(dirname $$f)"; $(GO) test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f); \
		done; \
	done

# The tests are a module of their own. Without the name of a package, go test shows how many cases each suite had.
conformance: build ## run gRPC's interop client, h2spec and the comparison with grpc-go against the gateway
	cd test/conformance && $(GO) vet ./... && PENSTOCK=$(CURDIR)/bin/penstock $(GO) test -count=1

# A module of its own, as Helm and kustomize bring along much.
deploy-test: ## check the Helm chart, the manifests made of it and the examples
	cd test/deploy && $(GO) vet ./... && $(GO) test -count=1 ./...

# Two cores that have nothing else to do.
twin: ## compare the simulator with real gateways before mock replicas
	PENSTOCK_TWIN=1 $(GO) test -count=1 -v -timeout 10m -run Agreement ./test/twin

generate: ## write the generated documentation anew
	$(GO) generate ./...

demo: ## run the demo
	$(GO) run ./cmd/penstock demo

bench: ## run the Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built
	rm -rf bin

# Two cores, a quiet machine, and the Debian packages haproxy and nginx.
bench-proxy: build ## measure the gateway next to HAProxy and nginx
	$(GO) run ./bench/proxybench --penstock bin/penstock

bench-proxy-smoke: build ## run the proxy benchmark briefly, to see that it works
	$(GO) run ./bench/proxybench --quick --rounds 1 --window 300ms --streams 200 --penstock bin/penstock --out bin/bench-proxy-smoke

image-files: ## build what the image holds into bin/image: static binaries
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/image/penstock ./cmd/penstock
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/image/grpc_health_probe github.com/grpc-ecosystem/grpc-health-probe

image: ## build the image penstock:dev with docker
	docker build -t penstock:dev .

demo-smoke: build ## start the demo and run the curl line that it prints
	./test/demo-smoke
