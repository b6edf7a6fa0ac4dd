# Needs make and Python 3.11 or newer; everything else is installed into .venv.
PYTHON ?= python3
# The functional tests wait for real processes most of the time, so that three share two cores well.
# Their files take longest and are begun first.
TEST_PROCESSES ?= 3
UV_VERSION = 0.13.8

VENV = .venv
PY = $(VENV)/bin/python
PIP = $(PY) -m pip --disable-pip-version-check --no-input --quiet
UV = $(VENV)/uv/bin/uv
ENGINE = imgcompress/imaging/jpeg_engine
# One lock for every system, and for every Python that the project runs on.
COMPILE = UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url

.PHONY: help
help: ## Show what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: setup ## Run the service on this machine (make run PORT=5001 for another port)
	@$(PY) -m imgcompress serve --stop-with-parent

.PHONY: demo
demo: setup ## Compress some sample photos as a user would, show the result, and end
	@$(PY) -m imgcompress demo

# Without files of bytecode, every process of the tests compiles what it imports.
.PHONY: test
test: setup-dev ## Run all tests (make test ARGS="-k upload" for some)
	@env -u PYTHONDONTWRITEBYTECODE $(PY) -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: setup-dev ## Check style, format and types
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy

.PHONY: format
format: setup-dev ## Format the code
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

.PHONY: migrate
migrate: setup ## Bring the database to the newest schema (make run does it too)
	@$(PY) -m imgcompress db upgrade

.PHONY: setup
setup: $(VENV)/.installed $(VENV)/.engine ## Install what the service needs into .venv

.PHONY: setup-dev
setup-dev: $(VENV)/.installed-dev $(VENV)/.engine ## Install what its tests need as well

.PHONY: lock
lock: $(UV) ## Pin the newest allowed dependencies, with hashes (ARGS=--upgrade)
	$(COMPILE) $(ARGS) requirements.in -o requirements.txt
	$(COMPILE) $(ARGS) requirements-s3.in -o requirements-s3.txt
	$(COMPILE) $(ARGS) requirements-otel.in -o requirements-otel.txt
	$(COMPILE) $(ARGS) requirements-heif.in -o requirements-heif.txt
	$(COMPILE) $(ARGS) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) $(ARGS) requirements-build.in -o requirements-build.txt

# The empty files named .created and .installed say that a step has come to its end: one that was
# broken off is done again.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "imgcompress needs Python 3.11 or newer, and $(PYTHON) is not."; \
		echo "Name one that is: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/.created
	@echo "Installing the dependencies into $(VENV); this takes a minute the first time."
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the dependencies of the tests into $(VENV)."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# The project itself stays in its place: .venv/bin/imgcompress runs the code of this folder. The JPEG
# engine is built there too. Without a C compiler there is none, and all else works.
$(VENV)/.engine: requirements-build.txt pyproject.toml setup.py $(wildcard $(ENGINE)/core/*) | $(VENV)/.installed
	@$(PIP) install --require-hashes -r requirements-build.txt
	@rm -f $(ENGINE)/_core.*
	@$(PIP) -vv install --no-deps --no-build-isolation --editable . >$(VENV)/engine.log 2>&1 || { \
		cat $(VENV)/engine.log; exit 1; }
	@ls $(ENGINE)/_core.* >/dev/null 2>&1 || { \
		echo "The JPEG engine cannot be built, so JPEGs are compressed the slower way:" \
		"it needs a C compiler ($(VENV)/engine.log)."; }
	@touch $@

# uv lives apart, so that it is no dependency of the project.
$(UV): | $(VENV)/.created
	@$(PYTHON) -m venv $(VENV)/uv
	@$(VENV)/uv/bin/python -m pip --disable-pip-version-check --quiet install uv==$(UV_VERSION)
