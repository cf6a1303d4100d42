SHELL := bash
.DEFAULT_GOAL := help

BIN := .venv/bin
INSTALLED := .venv/.installed
# uv installs sources only: without caches, every process would compile torch and what stands beside it anew.
unexport PYTHONDONTWRITEBYTECODE
VERSION := $(shell sed -nE 's/^version = "(.*)"/\1/p' pyproject.toml)
REGISTRY ?= localhost
HELM ?= helm
JOB ?= examples/digits.yaml
WORKERS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
CLUSTER := PYTHONPATH=tests $(BIN)/python -m cluster.testcluster
E2E := OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/cluster --timeout=900
BUILT := $(if $(PSLGS_TEST_KUBECONFIG),$(INSTALLED),cluster)
PINNED := requirements/build.txt requirements/dev.txt
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-header --no-annotate --no-emit-index-url $(if $(UPGRADE),--upgrade)
PEERS := .venv-peers
INTO := .
GENERATED := runtime/pslgs/transport/v1/training_pb2.py runtime/pslgs/transport/v1/training_pb2.pyi \
	crds/splittrainingjobs.yaml $(addprefix docs/reference/,commands.md exit-codes.md fields.md messages.md metrics.md python.md rbac.md) \
	$(addprefix docs/explanation/figures/,batches.svg deviation.svg step.svg) \
	$(addprefix charts/pslgs/,README.md values.schema.json \
		$(addprefix files/,splittrainingjobs.yaml dashboards/fleet.json dashboards/training-health.json))
PROTOC := $(BIN)/python -m grpc_tools.protoc --proto_path=runtime runtime/pslgs/transport/v1/training.proto

.PHONY: $(shell sed -nE 's/^([a-z0-9-]+):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## Print the targets.
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | \
		awk -F '|' '{ printf "%-20s %s\n", $$1, $$2 }'

run: $(INSTALLED) ## Train a job on this machine: JOB=examples/digits.yaml, ARGS="--resume ..." go to `pslgs run`.
	$(BIN)/pslgs run $(JOB) $(ARGS)

test: $(INSTALLED) ## Run all tests, in WORKERS=2 processes.
	$(PYTEST) $(ARGS)

test-fast: $(INSTALLED) ## Run the tests that take a moment: for use while editing.
	$(PYTEST) -m "not slow" --hypothesis-profile=quick $(ARGS)

test-slowest: $(INSTALLED) ## Run all tests, and list those that take longest.
	$(PYTEST) --durations=40 --durations-min=2 $(ARGS)

cluster: $(INSTALLED) ## Build the Kubernetes and the images that tests start: root on Debian, Go, 15 minutes once.
	$(CLUSTER) build
	$(CLUSTER) images

e2e: $(BUILT) ## Run the scenarios on a cluster with nodes, which is started and ended for them.
	$(if $(PSLGS_TEST_KUBECONFIG),,$(CLUSTER) build kueue)
	$(E2E) -m e2e $(ARGS)

e2e-smoke: $(BUILT) ## Run those that tell in a few minutes whether it works at all.
	$(E2E) -m "e2e and smoke" $(ARGS)

fault-simulation: $(INSTALLED) ## Run jobs under random faults in virtual time: ARGS="--seeds 1000000" for hours, "--seed 7" for one.
	PYTHONPATH=tests $(BIN)/python -m fault_simulation $(ARGS)

mutants: $(INSTALLED) ## Try whether the tests find each of the listed faults in the code.
	PYTHONPATH=tests $(BIN)/python -m mutants $(ARGS)

fuzz: $(INSTALLED) ## Fuzz decoders for longer: ARGS="frames journal --seconds 600", with --coverage by atheris.
	$(if $(findstring --coverage,$(ARGS)),$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/fuzz.txt)
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m fuzzing $(ARGS)

docs: $(INSTALLED) ## Build the site of the documentation in dist/docs/site; broken links are errors.
	$(BIN)/python -m documentation.site dist/docs

pictures: $(INSTALLED) ## Make the pictures of README.md from a run; needs tmux and Chromium.
	$(BIN)/python -m documentation.pictures

lint: $(INSTALLED) ## Check format, lint, types and floors.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Format the code and mend what ruff can.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

verify: $(INSTALLED) ## Generate anew what is generated, and fail where it differs from what is committed.
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(MAKE) --no-print-directory generate INTO="$$fresh" >/dev/null && \
	for file in $(GENERATED); do \
		diff -u $$file "$$fresh/$$file" || { echo "Run \`make generate\`."; exit 1; }; \
	done && echo "What is generated is up to date."

bench: $(INSTALLED) ## Measure the distributed run against a plain loop, and the wire against a bare stream.
	$(BIN)/python -m benchmarks $(ARGS)

bench-peers: $(PEERS)/.installed ## Measure NVFlare and Flower beside `pslgs run`; needs Linux. ARGS="--kill" kills a client of each.
	$(BIN)/python -m benchmarks.peers --environment $(PEERS) $(ARGS)

bench-links: $(INSTALLED) ## Measure steps over slow links, which are emulated, against what they allow; root on Linux.
	PYTHONPATH=tests $(BIN)/python -m benchmarks.slow_links $(ARGS)

bench-operator: $(INSTALLED) ## Measure the operator at 5,000 nodes and at 200 training jobs, on an API server without kubelets.
	PYTHONPATH=tests $(BIN)/python -m benchmarks.operator_scale $(ARGS)

chaos: $(INSTALLED) ## Train under faults of processes, terminal and disk: ARGS="--seed 1 --faults 100", "--exact".
	PYTHONPATH=tests $(BIN)/python -m process_chaos $(ARGS)

cluster-chaos: $(BUILT) ## Train on a cluster under faults of pods, nodes and control plane: ARGS="--seed 1 --faults 40".
	PYTHONPATH=tests $(BIN)/python -m cluster.chaos $(ARGS)

soak: $(INSTALLED) ## Train and operate for an hour each while clients and jobs come and go; nothing may grow.
	PYTHONPATH=tests $(BIN)/python -m soak $(ARGS)

generate: $(INSTALLED) ## Generate the protobuf modules, the CRD, references, dashboards and what the chart repeats.
	@mkdir -p $(sort $(dir $(GENERATED:%=$(INTO)/%)))
	$(PROTOC) --python_out=$(INTO)/runtime --pyi_out=$(INTO)/runtime
	$(BIN)/python -m pslgs_operator.crd >$(INTO)/crds/splittrainingjobs.yaml
	$(BIN)/python -m pslgs_operator.crd reference >$(INTO)/docs/reference/fields.md
	$(BIN)/python -m monitoring $(INTO)
	$(BIN)/python -m documentation.generated $(INTO)
	$(BIN)/python charts/generate.py $(INTO)/charts/pslgs

requirements: $(INSTALLED) ## Pin the requirements; UPGRADE=1 takes the newest versions.
	$(COMPILE) pyproject.toml --all-extras --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra runtime --constraints requirements/dev.txt --output-file requirements/runtime.txt
	$(COMPILE) pyproject.toml --extra operator --constraints requirements/dev.txt --output-file requirements/operator.txt
	$(COMPILE) --group build --constraints requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) --group fuzz --constraints requirements/dev.txt --output-file requirements/fuzz.txt
	$(COMPILE) --group peers --output-file benchmarks/peers/requirements.txt

licences: $(INSTALLED) ## Print the licences of all pinned packages, and fail where one is not allowed.
	$(BIN)/python -m images.licences requirements/*.txt

sbom: $(INSTALLED) ## Write SBOMs of both images (CycloneDX) into dist/; builds them first, as `make cluster` does.
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(CLUSTER) sbom dist

version: ## Print the version.
	@echo $(VERSION)

dist: $(INSTALLED) ## Build wheel, sdist and chart into dist/.
	rm -rf dist/*.whl dist/*.tar.gz dist/chart
	$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python --out-dir dist
	$(HELM) package --destination dist/chart charts/pslgs

dist-check: dist ## Install the wheel, and a wheel of the sdist, into empty environments, and train with each.
	tests/house/check_dist dist/pslgs-$(VERSION)-py3-none-any.whl
	tests/house/check_dist dist/pslgs-$(VERSION).tar.gz

images: ## Build both images with docker: REGISTRY=HOST/OWNER PLATFORMS=linux/amd64,linux/arm64 ARGS=--push.
	for name in operator runtime; do \
		docker buildx build $(if $(PLATFORMS),--platform $(PLATFORMS)) --tag $(REGISTRY)/pslgs-$$name:$(VERSION) \
			--build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) \
			--file images/$$name/Dockerfile $(ARGS) . || exit; \
	done

clean: ## Remove the environment, caches and build results; runs are kept.
	rm -rf .venv $(PEERS) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find operator runtime documentation tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): $(PINNED) pyproject.toml requirements/install
	@requirements/install
	touch $@

# The peers' dependencies contradict the project's.  torch and scikit-learn, which they do not bring, are the project's own.
$(PEERS)/.installed: benchmarks/peers/requirements.txt $(INSTALLED)
	$(BIN)/python -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		>"$$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/project.pth"
	touch $@
