# Everything from an empty machine: Python 3.11 or newer and make. See README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := RECSVC_HOME=$(or $(RECSVC_HOME),.demo)

.PHONY: demo smoke test test-slow soak bench lint lock clean help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## set up, train on The Complete Journey, serve it with a page to look at
	@$(DEMO) exec $(BIN)/recsvc demo --with-parent

smoke: $(READY) ## the same on another port: ask every endpoint once, check the answers, exit
	@RECSVC_HOME=.smoke RECSVC_PORT=$(or $(PORT),8765) exec $(BIN)/recsvc demo --smoke --with-parent

test: $(READY) ## the tests
	@$(BIN)/python -m pytest -m "not slow"

test-slow: $(READY) ## the tests that take longer: faults, the browser, the demo's own data
	@$(BIN)/python -m pytest -m slow

soak: $(READY) ## 200 races for offers, and N storefront requests (100,000) while parts of the shop fail, on either database
	@RECSVC_TEST_RACES=$(or $(RACES),200) $(BIN)/python -m pytest tests/store/test_races.py
	@for kind in sqlite postgres; do \
		$(BIN)/python -m tests.soak --requests $(or $(N),100000) --database $$kind || exit 1; done

bench: $(READY) ## the benchmarks: one table, and .bench/results.json
	@$(BIN)/python -m tests.benchmarks

lint: $(READY) ## ruff, mypy, hadolint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/hadolint Dockerfile

lock: $(READY) ## resolve the newest allowed versions into requirements.lock
	@$(BIN)/uv pip compile -q pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --upgrade -o requirements.lock

clean: ## remove the virtual environment and the demo
	@rm -rf $(VENV) .demo .smoke

# Where Python is told to write no compiled files, every start of a process would compile all that it imports: 7 s of CPU
# instead of 3. So it is done here, once.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

# uv comes first, with its hash from the lock; it installs the rest, each with its hash, and nothing else.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		"recsvc needs Python 3.11 or newer, this is %d.%d; set another: make PYTHON=python3.12" % sys.version_info[:2])'
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@echo "installing $$(grep -c '==' requirements.lock) packages into $(VENV)"
	@$(BIN)/uv pip sync -q $(COMPILE) --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@$(if $(COMPILE),$(BIN)/python -m compileall -q recsvc training tests)
	@touch $@
