# Every target does its own set-up; all it needs is make and Python 3.11 or newer.
#   PYTHON=python3.12   another interpreter
#   JOBS=4              test processes at a time
#   TORCH_INDEX=URL     an index of CPU wheels of torch, used where pip would otherwise bring the CUDA build
PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 2

BIN := .venv/bin
WITH := PYTHONPATH="$(CURDIR)/book/_ext" OMP_NUM_THREADS=1
PY := $(WITH) $(BIN)/python
# IPython would take packages from another environment that the reader has activated.
unexport VIRTUAL_ENV
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
TORCH := $(shell grep '^torch==' requirements.lock)
# The name of the stamp changes with what is to be installed, so a changed lock is picked up by itself.
READY := .venv/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d ' ' -f 1)

# The tests of what is not committed: of a changed part, of a changed module, of the book's machinery.
CHANGED := git status --porcelain | cut -c 4- | tr -d '"' | sed -nE \
	-e 's,^(src/lmprep|notebooks|tests)/([a-z]+)/.*,tests/\2,p' \
	-e 's,^(src/lmprep/|tests/test_)([a-z]+)\.py,tests/test_\2.py,p' \
	-e 's,^book/_ext/.*,tests/book/test_reader.py,p' \
	| sort -u | grep -vx tests/book | while read -r tests; do [ -e "$$tests" ] && echo "$$tests"; done

.PHONY: help book test quick lab serve lint format unit sabotage outputs browser one dist lock clean

help:  ## list the targets
	@awk -F ':[^#]*## ' '/^[a-z]+:.*## / { printf "%-11s%s\n", $$1, $$2 }' Makefile

book: $(READY)  ## run the notebooks that changed, build the book (warnings are errors), print its address
	$(PY) -m lmprep_book.execute
	$(PY) -m lmprep_book.derive
	@rm -rf _build/.doctrees _build/html
	$(WITH) $(BIN)/jupyter-book build . -W -n --keep-going --quiet
	@echo "Open file://$(CURDIR)/_build/html/index.html (or: make serve)"

test: lint unit sabotage outputs  ## lint, types, unit and reference tests, theses broken on purpose, outputs reproduced

quick: $(READY) lint  ## at most 90 s: lint, the notebooks' contract, the changed parts' tests, changed notebooks
	$(PY) -m lmprep_book.execute
	$(PY) -m pytest -n $(JOBS) --dist worksteal tests/book/test_contract.py $$($(CHANGED))

lab: $(READY)  ## open your own copies of the notebooks (in work/) in JupyterLab
	$(PY) -m lmprep_book.lab
	$(PY) -m jupyter lab --notebook-dir=work

serve: $(READY)  ## serve the built book on http://localhost:8000
	@[ -f _build/html/index.html ] || { echo "There is no book yet: run make book first."; exit 1; }
	$(PY) -m http.server 8000 --bind 127.0.0.1 --directory _build/html

lint: $(READY)  ## ruff, mypy, import-linter
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(BIN)/lint-imports

format: $(READY)  ## mend what ruff can mend
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

unit: $(READY)  ## the unit and reference tests, the contract, the graded tasks
	$(PY) -m pytest -m "not sabotage and not outputs and not site" -n $(JOBS) --dist worksteal

sabotage: $(READY)  ## break what each thesis measures: the claim must notice
	$(PY) -m pytest -m sabotage -n $(JOBS) --dist worksteal

outputs: $(READY)  ## run the notebooks a second time and compare every output
	$(PY) -m lmprep_book.execute
	$(PY) -m pytest -m outputs -n $(JOBS) --dist worksteal

browser: $(READY)  ## look at every page of the built book in Chromium
	$(PY) -m pytest -m site -n $(JOBS) --dist worksteal

one: $(READY)  ## NB=slug [SEEDS=5]: run, verify and render one entry, also with other seeds
	@[ -n "$(NB)" ] || { echo "Which entry? For example: make one NB=self_attention_math SEEDS=5"; exit 1; }
	$(PY) -m lmprep_book.one $(NB) $(if $(SEEDS),--seeds $(SEEDS))

dist: book  ## the site as a zip and the wheel, in dist/
	@rm -rf dist build
	@mkdir -p dist
	$(PY) -m zipfile -c dist/lmprep-book.zip _build/html/.
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@rm -rf build

lock: $(READY)  ## resolve all versions anew and write requirements.lock
	rm -rf _build/lock && $(PYTHON) -m venv _build/lock
	_build/lock/bin/python -m pip --quiet install $(if $(TORCH_INDEX),--index-url "$(TORCH_INDEX)") $(TORCH)
	_build/lock/bin/python -m pip --quiet install ".[book,test,study]"
	{ sed -n '/^#/p' requirements.lock; _build/lock/bin/python -m pip freeze --all --exclude pip --exclude wheel --exclude lmprep | sed 's/+cpu$$//'; } > _build/requirements.lock
	mv _build/requirements.lock requirements.lock

clean:  ## remove everything built (not the environment, not your copies in work/ and practice/)
	rm -rf _build book/derived build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests book -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or newer, or pass PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11: install a newer one, or pass PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module: on Debian or Ubuntu, apt install python3-venv"; exit 1; }
	@echo "Setting up .venv: about 2.5 GB to install, a few minutes the first time"
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@# torch first and alone: any other request for it may pull gigabytes of CUDA packages
	@if ! $(BIN)/python -c 'from importlib.metadata import version as v; assert "torch==" + v("torch").split("+")[0] == "$(TORCH)"' 2>/dev/null; then \
	  if $(PIP) install --dry-run --no-deps --report - $(TORCH) 2>/dev/null | grep -q '"nvidia-'; then \
	    if [ -n "$(TORCH_INDEX)" ]; then $(PIP) install --no-deps --index-url "$(TORCH_INDEX)" $(TORCH); \
	    else echo "pip offers the CUDA build of torch, about 3 GB more; with TORCH_INDEX=... make takes a CPU build (see README.md)"; $(PIP) install $(TORCH); fi; \
	  else $(PIP) install --no-deps $(TORCH); fi; \
	fi
	@$(PIP) install --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@# JupyterLab otherwise asks whether to fetch news
	@mkdir -p .venv/share/jupyter/lab/settings
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}' > .venv/share/jupyter/lab/settings/overrides.json
	@rm -f .venv/.ready-*
	@touch $@
