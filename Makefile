# make help lists the targets. Go is all that most of them need.
GO ?= go
# A number of runs, as a duration that ends amid a run makes the fuzzer fail with "context deadline exceeded".
FUZZTIME ?= 10000x

# Without the state of the repository, so that a checkout and the image's build, which has none, give the same bytes. VERSION says which it is.
IMAGE_BUILD = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags='-s -w $(if $(VERSION),-X github.com/penstock/penstock/gateway.release=$(VERSION))'
CLUSTER = test/cluster/cluster

.PHONY: help build image-files image image-test cluster-up cluster-down cluster-image cluster-smoke test test-race lint fuzz conformance browser-test deploy-test rules-test e2e e2e-run e2e-build keda-test generate bench-proxy bench-proxy-smoke twin bench demo demo-smoke clean

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

# promtool is in the Debian package prometheus.
rules-test: ## check the Prometheus rules and run their tests; installs promtool where it is missing
	@command -v promtool >/dev/null || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null && \
		{ service prometheus stop >/dev/null 2>&1 || true; }; }
	promtool check rules deploy/prometheus/rules.yaml
	promtool test rules deploy/prometheus/rules_test.yaml

# A module of its own, for chromedp. BROWSER_OUT=DIR keeps the pictures.
browser-test: build ## test the dashboard in a headless Chromium, which is installed by apt-get where it is missing
	@test -x /usr/bin/chromium || test -n "$(CHROMIUM)" || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	cd test/browser && $(GO) vet ./... && PENSTOCK=$(CURDIR)/bin/penstock $(GO) test -count=1 -timeout 5m

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
	$(IMAGE_BUILD) -o bin/image/penstock ./cmd/penstock
	$(IMAGE_BUILD) -o bin/image/grpc_health_probe github.com/grpc-ecosystem/grpc-health-probe

# The exporter gives all files one time, that of the last commit.
image: ## build the image penstock:dev with docker's buildx
	docker buildx build --provenance=false --build-arg SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
		--build-arg VERSION=$$(git describe --tags --always --dirty) --output type=docker,name=penstock:dev,rewrite-timestamp=true .

# Linux and root, no container engine and no image registry. IMAGE_OUT=FILE keeps the image.
image-test: ## build the Dockerfile on stand-ins of its bases, twice, and check the image
	./test/image-build

# Linux and root, no container engine. test/cluster/README.md has the rest.
cluster-up: ## start the test cluster, a real one-node Kubernetes; builds it first, about 10 minutes, if that was never done
	$(CLUSTER) up

cluster-down: ## end the test cluster and remove what it made
	$(CLUSTER) down

cluster-image: image-files ## load the image penstock:test into the test cluster
	$(CLUSTER) image penstock:test bin/image/penstock bin/image/grpc_health_probe

cluster-smoke: cluster-image ## run the image in the test cluster, also while its API server is away
	./test/cluster/smoke

# What the end-to-end suite runs, and what is in its image.
e2e-build: image-files
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/e2e/trafficd ./test/e2e/trafficd
	CGO_ENABLED=0 $(GO) build -C test/deploy -trimpath -o $(CURDIR)/bin/e2e/helm helm.sh/helm/v4/cmd/helm
	CGO_ENABLED=0 $(GO) test -c -o bin/e2e/e2e.test ./test/e2e

# With KUBECONFIG set, make e2e-run tests in that cluster. It must have the image that PENSTOCK_E2E_IMAGE names.
e2e-run: e2e-build ## run the end-to-end suite in the cluster of KUBECONFIG
	cd test/e2e && PENSTOCK_E2E=1 HELM=$(CURDIR)/bin/e2e/helm ../../bin/e2e/e2e.test -test.v -test.timeout 40m $(E2E_FLAGS)

e2e: e2e-build ## run the end-to-end suite in the test cluster, which it starts and ends
	./test/e2e/run $(E2E_FLAGS)

# KEDA is built first if that was never done. Linux and root.
keda-test: e2e-build ## have a real KEDA scale model servers by the gateway, in the test cluster, which it starts and ends
	./test/keda/run $(E2E_FLAGS)

demo-smoke: build ## start the demo and run the curl line that it prints
	./test/demo-smoke
