# Every target is one command a person could type; setup runs by itself where it is needed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
BAMBI := .venv-bambi/.ready
export MODEL DATA SURVIVAL FORMULA EVENT OUT FIT OF

.PHONY: help setup fit update predictions comparisons slopes notebook docs browser test validate dist release-check pictures promises qualify calibrate certificates bench growth lint format readme constraints clean

help: ## Show the targets
	@grep -E '^[a-z -]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z -]+):.*## /\1\t/' | expand -t 22
	@echo
	@echo 'make fit MODEL=multicenter'
	@echo 'make fit MODEL=hierarchical_logistic DATA=my.csv FORMULA="y ~ x + (1 + x | g)" OUT=my.nc ARGS="--seed 1 --draws 2000"'

setup: $(READY) ## Make the environment in .venv, with the versions of constraints.txt

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 12) else f"Python 3.12 or newer is needed, $(PYTHON) is {v[0]}.{v[1]}; give another: make PYTHON=python3.13 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable . --group dev
	$(BIN)/python -m compileall -q glmm_zoo # bytecode now, since PYTHONDONTWRITEBYTECODE would have every start compile anew
	$(BIN)/python -c "import matplotlib.font_manager" # which lists the fonts of the machine, once
	@touch $@

fit: $(READY) ## Fit MODEL (a card, a builder or an alias) to its own data, or to DATA with FORMULA; SURVIVAL, EVENT, OUT and ARGS as well; ARGS=--overwrite replaces a fit
	@test -n "$$MODEL" || { echo 'MODEL is missing; for example: make fit MODEL=multicenter' >&2; $(BIN)/glmm-zoo list >&2; exit 2; }
	@$(BIN)/glmm-zoo fit "$$MODEL" $(if $(DATA),"$$DATA") $(if $(SURVIVAL),--survival "$$SURVIVAL") $(if $(FORMULA),--formula "$$FORMULA") $(if $(EVENT),--event "$$EVENT") $(if $(OUT),--out "$$OUT") $(ARGS)

update: $(READY) ## Fit a variation of the fit in FIT: FORMULA=". ~ . + age", DATA, SURVIVAL, EVENT, OUT and ARGS
	@test -n "$$FIT" || { echo 'FIT is missing; for example: make update FIT=fits/multicenter.nc FORMULA=". ~ . + age" DATA=my.csv' >&2; exit 2; }
	@$(BIN)/glmm-zoo update "$$FIT" $(if $(FORMULA),--formula "$$FORMULA") $(if $(DATA),--data "$$DATA") $(if $(SURVIVAL),--survival "$$SURVIVAL") $(if $(EVENT),--event "$$EVENT") $(if $(OUT),--out "$$OUT") $(ARGS)

predictions: $(READY) ## Predict rows of the fit in FIT, or those of DATA; ARGS="--by period"
	@test -n "$$FIT" || { echo 'FIT is missing; for example: make predictions FIT=fits/multicenter.nc ARGS="--by period"' >&2; exit 2; }
	@$(BIN)/glmm-zoo predictions "$$FIT" $(if $(DATA),"$$DATA") $(if $(OUT),--out "$$OUT") $(ARGS)

comparisons slopes: $(READY) ## Compare what the fit in FIT expects if the variable OF changes; slopes: how fast it changes
	@test -n "$$FIT" && test -n "$$OF" || { echo 'FIT or OF is missing; for example: make $@ FIT=fits/multicenter.nc OF=period' >&2; exit 2; }
	@$(BIN)/glmm-zoo $@ "$$FIT" "$$OF" $(if $(DATA),"$$DATA") $(if $(OUT),--out "$$OUT") $(ARGS)

notebook: $(READY) ## Open the examples in Jupyter Lab
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable . --group dev --group notebook
	$(BIN)/jupyter lab notebooks $(ARGS)

docs: $(READY) ## Build the site of the documentation, with its examples run, to docs/_build/html; ARGS="-D nb_execution_mode=off" without running them
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable . --group dev --group docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -c docs $(ARGS) . docs/_build/html
	@echo 'open docs/_build/html/index.html'

test: $(READY) ## Run the whole suite (minutes)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

browser: ## Install Chromium, in which the tests look at pages (Debian, Ubuntu; elsewhere install Chromium or Chrome yourself)
	@command -v chromium chromium-browser google-chrome >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq -y chromium || sudo sh -c 'apt-get update -qq && apt-get install -qq -y chromium'; }

validate: $(READY) ## Compare posteriors with peers' fits and by simulation (tens of minutes; data: tests/data/README.md)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable . --group dev --group docs # the site is built too
	$(BIN)/python -m pytest -m slow $(ARGS)

dist: $(READY) ## Build the sdist and the wheel to dist/ and check what an index would refuse; the version is the tag of the commit
	rm -rf dist
	$(BIN)/uv build --quiet
	$(BIN)/uv tool run --quiet --constraints constraints.txt twine check --strict dist/*.whl dist/*.tar.gz

release-check: $(READY) ## Install sdist and wheel into empty environments of each Python here, with newest and lowest versions (tens of minutes)
	$(BIN)/python -m pytest -m slow tests/test_wheel.py -k "release or tagged" -rs $(ARGS)

pictures: $(READY) browser ## Make the pictures of the README and the site anew, from a fit of the card multicenter
	mkdir -p docs/_build docs/pictures
	$(BIN)/glmm-zoo fit multicenter --seed 1 --out docs/_build/multicenter.nc --overwrite >/dev/null
	$(BIN)/glmm-zoo report docs/_build/multicenter.nc --out docs/_build/multicenter.html --overwrite
	$$(command -v chromium chromium-browser google-chrome | head -1) --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=820,1240 --screenshot=docs/report.png docs/_build/multicenter.html
	$(BIN)/python -c 'from PIL import Image; Image.open("docs/report.png").convert("RGB").quantize(128, dither=Image.Dither.NONE).save("docs/report.png", optimize=True)'
	for figure in adjusted_means caterpillar; do $(BIN)/glmm-zoo plot docs/_build/multicenter.nc $$figure --out docs/pictures/$$figure.svg --overwrite || exit 1; done

promises: $(READY) ## Write into docs/why-believe-it.md which tests hold each promise, and what they last said
	$(BIN)/python tests/promises.py

qualify: $(READY) ## Check this installation: hashes, versions, densities, published numbers, to dossier/; ARGS="--case study.toml"
	$(BIN)/glmm-zoo qualify $(ARGS)

calibrate: $(READY) ## Simulation-based calibration of MODEL, with DATA and FORMULA or as its card has it; ARGS="--n 200 --out DIR"
	@test -n "$$MODEL" || { echo 'MODEL is missing; for example: make calibrate MODEL=multicenter ARGS="--n 200 --out calibration/multicenter"' >&2; exit 2; }
	@$(BIN)/glmm-zoo calibrate "$$MODEL" $(if $(DATA),"$$DATA") $(if $(FORMULA),--formula "$$FORMULA") $(ARGS)

certificates: $(READY) ## Certificates of calibration that are not there yet, hours, to calibration/; ARGS="poisson --workers 2" for one
	$(BIN)/glmm-zoo certify $(ARGS)
	cp calibration/*.json glmm_zoo/calibration/certificates/

bench: $(READY) $(BAMBI) ## Compare with PyMC, nutpie, bambi and brms (hours; ARGS="--runs 1 --only cbpp_binomial --tools zoo,pymc")
	$(BIN)/python benchmarks/bench.py $(ARGS)

growth: $(READY) ## Measure how cost grows with rows and groups (minutes), to benchmarks/growth.csv
	$(BIN)/python benchmarks/growth.py $(ARGS)

$(BAMBI): benchmarks/bambi-constraints.txt | $(READY)
	$(PYTHON) -m venv .venv-bambi
	$(BIN)/uv pip install --quiet --compile-bytecode --python .venv-bambi/bin/python --constraint benchmarks/bambi-constraints.txt bambi "h5netcdf[h5py]"
	@touch $@

lint: $(READY) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(READY) ## Write the tables of README, models/README.md and docs/decisions/README.md anew
	UPDATE_README=1 $(BIN)/python -m pytest tests/test_readme.py

constraints: ## Resolve and pin every dependency anew
	$(BIN)/uv pip compile --quiet --no-header --no-annotate --universal --python-version 3.12 --upgrade --all-extras --group dev --group docs --group notebook --group tools pyproject.toml --output-file constraints.txt

clean: ## Remove the environment and caches
	rm -rf .venv .venv-bambi .pytest_cache .ruff_cache dist build
