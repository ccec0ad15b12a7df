# Each target sets up .venv by itself; the stamp makes a second run start at once.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.asr-adapt-installed
JOBS   ?= 2
FAMILY ?= whisper
# what each family's demonstration adapts; whisper leaves the choice to the command
ctc          := --model nano-en
nano-whisper := --model nano-whisper

.PHONY: help install demo test lint format docs constraints clean
.DEFAULT_GOAL := help

help:
	@echo "make demo         adapts Whisper tiny.en to a real accent and shows the gain (fetches 70 MB once)"
	@echo "                  FAMILY=ctc: the bundled nano-en on synthetic speech, no network needed"
	@echo "make test         every test that this machine can run"
	@echo "make lint         ruff and mypy"
	@echo "make format       let ruff rewrite what it can"
	@echo "make docs         build the documentation into site/, every link checked"
	@echo "make constraints  write the versions installed in .venv to constraints.txt"

install: $(STAMP)

# torch first: its pin is then met, and nothing that depends on it takes a newer and larger build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "asr-adapt needs Python 3.11 or newer: run make PYTHON=/path/to/python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/asr-adapt demo $($(FAMILY)) --output demo-output

# One thread per worker: two workers with two threads each fight over two cores.
test: $(STAMP)
	OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

constraints: $(STAMP)
	@$(BIN)/python -m pip list --format freeze --exclude-editable \
	  | grep -Evi '^(pip|setuptools|wheel)==' | sed 's/+[a-z0-9.]*$$//' > constraints.new
	@{ sed -n '/^#/p' constraints.txt; cat constraints.new; } > constraints.tmp
	@rm constraints.new && mv constraints.tmp constraints.txt

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output site
