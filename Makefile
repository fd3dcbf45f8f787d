# `make demo` and `make test` need nothing but Python and make: each makes the environment it uses.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

IN_PARALLEL := -n 2 --dist worksteal

.PHONY: demo test test-slow test-oldest test-extras soak docs dist-check install lint typecheck format clean

demo: $(VENV)/.runtime
	$(BIN)/lrrec demo

install: $(VENV)/.runtime

test: $(VENV)/.dev
	$(BIN)/python -m pytest $(IN_PARALLEL)

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow $(IN_PARALLEL)

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -m soak $(IN_PARALLEL)

# The oldest versions that pyproject.toml allows.
test-oldest: .venv-oldest/.dev
	.venv-oldest/bin/python -m pytest $(IN_PARALLEL)

# With the optional packages that take much space: Spark, which needs Java 17, search indexes, ONNX, a web server.
test-extras: $(VENV)/.extras
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "not soak" tests/test_spark.py tests/test_index.py tests/test_onnx.py tests/test_hub.py tests/test_serve_example.py

# Every block of every page runs and prints what is shown; warnings are errors; then the site in a browser.
docs: $(VENV)/.docs
	$(BIN)/python -m pytest $(IN_PARALLEL) -m "slow or not slow" tests/test_readme.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs 2 docs docs/_build/html
	$(BIN)/python -m pytest $(IN_PARALLEL) -m slow tests/test_docs_site.py
	@echo "The first page: docs/_build/html/index.html"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.dev
	$(BIN)/mypy

# Build sdist and wheel, look into them, install the wheel alone and use it; PYTHONS names interpreters, else all that
# are here.
dist-check: $(VENV)/.dist
	$(BIN)/python tests/dist_check.py $(PYTHONS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-oldest build dist docs/_build docs/auto_gallery docs/api/generated docs/api/lrrec*.rst .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("lrrec needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing lrrec into $(VENV) (once, about a minute) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing lrrec and its test tools into $(VENV) (once, about a minute) ..."
	$(PIP) --editable '.[dev,torch]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.dist: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) build twine hatchling
	@touch $@

$(VENV)/.extras: $(VENV)/.dev
	@echo "Installing Spark, search indexes, ONNX and a web server into $(VENV) (once, about a minute) ..."
	$(PIP) --editable '.[dev,torch,spark,index,onnx,hub]' 'pyspark[connect]' hnswlib faiss-cpu onnxruntime httpx -r docs/examples/serve/requirements.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	@echo "Installing Sphinx and its extensions into $(VENV) (once) ..."
	$(PIP) --editable '.[dev,torch,docs]'
	@touch $@

.venv-oldest/.dev: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-oldest.txt --editable '.[dev,torch]'
	@touch $@
