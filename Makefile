# PIP_ARGS goes to every pip install: on a machine without a GPU, PyTorch's CPU index saves gigabytes (see README).
PIP_ARGS ?=
PYTHON ?= python3
PYTEST_ARGS ?=
FUZZ ?= 2000
# Tests side by side, each on one core. The tests of a file stay together, because they share what they set up.
# What Python compiles is kept, whatever the surroundings say: else each worker compiles every test anew.
PYTEST = OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist loadfile
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test bench slow fuzz check types schema clean

demo: $(READY)  ## synthetic raw archive -> convert -> three systems -> board, in demo/
	$(BIN)/skelbench demo

test: $(READY)  ## the default suite
	$(PYTEST) $(PYTEST_ARGS)

bench: $(READY)  ## speed and memory beside the peers' ways, as ratios
	$(BIN)/python -m benchmarks

slow: $(READY)  ## the slow tests alone
	$(PYTEST) -m slow $(PYTEST_ARGS)

fuzz: $(READY)  ## thousands of damaged raw files for every converter; FUZZ says how many
	SKELBENCH_FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/fuzz -rP -p no:cacheprovider $(PYTEST_ARGS)

check: $(READY) types  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy does not follow the map of packages to folders, so it sees one tree made of links.
types: $(READY)
	rm -rf build/types
	mkdir -p build/types/skelbench
	ln -s $(CURDIR)/skelbench/* build/types/skelbench/
	ln -s $(CURDIR)/converters $(CURDIR)/splits build/types/skelbench/
	ln -s $(CURDIR)/leaderboards/published build/types/skelbench/published
	ln -s $(CURDIR)/benchmarks build/types/
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache -p skelbench -p benchmarks

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --editable ".[test,dev,fast]"
	touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
