# The two commands: `make run` and `make test`. Every target builds .venv from requirements.lock when that file changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
ENV    ?= base
KEDRO_ENV_FLAG := $(if $(filter-out base,$(ENV)),--env=$(ENV))

export KEDRO_DISABLE_TELEMETRY = 1
export DO_NOT_TRACK = 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM = false
export PYTHONHASHSEED = 0
# Git and MLflow must never wait for a question.
export GIT_TERMINAL_PROMPT = 0
export GIT_PYTHON_REFRESH = quiet
# The environment is installed without byte code; each module is compiled when it is first imported, and kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help pictures run new backtest test attack test-postgres test-kill test-cuda test-wheel test-serve-extra test-deploy check lint format-check types bench bench-house bench-lm bench-lm-ablation bench-quality bench-eval bench-rerank bench-protocols bench-serve bench-ann bench-cf bench-update bench-items bench-noise bench-data bench-refit bench-domains bench-new-users bench-wishes bench-user-text bench-user-text-lm bench-stability bench-recent bench-transformer bench-published bench-sparse bench-explanations bench-elicitation bench-peers bench-batch bench-threads bench-backtest bench-open-bandit bench-kinds bench-replay test-gguf test-spark spark-deps bench-spark bench-decoder bench-scale viz mlflow serve serve-mlflow mutants clean

# Every target says what it does behind two hashes; every pipeline in the first line of its pipeline.py.
DEFAULT_PIPELINES := data_processing feature_engineering lm_finetuning hybrid_cf evaluation reranking registration promotion reporting inference
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile
	@echo; echo "  ENV=ml1m, ml1m-loo, anime, beauty, toys, amazon, screen, decoder, large, test, test-domains or a folder of conf/ of your own: make run ENV=test"
	@echo; echo "  Pipelines of make run; one alone: $(BIN)/kedro run --pipelines=NAME"
	@cd src/tailor/pipelines && for name in $(DEFAULT_PIPELINES); do $(ONE_LINE); done
	@echo; echo "  On request"
	@cd src/tailor/pipelines && for file in */pipeline.py; do name=$${file%/*}; \
	  case " $(DEFAULT_PIPELINES) " in *" $$name "*) ;; *) $(ONE_LINE);; esac; done
ONE_LINE = [ ! -f $$name/pipeline.py ] || sed -n '1s/^"""\([^"]*\).*/\1/p' $$name/pipeline.py | xargs -0 printf '  %-23s %s' $$name

$(VENV)/requirements.lock: requirements.lock
	@if cmp -s requirements.lock $@; then touch $@; else \
	  echo "Building $(VENV) from requirements.lock ..." && \
	  $(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python >= 3.11 is needed: make PYTHON=/path/to/python3.11")' && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps -r requirements.lock && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	  $(BIN)/python -m pip check && \
	  cp requirements.lock $@; fi

# A base model in a GGUF file needs one more package, which is kept out of .venv.
GGUF := $(if $(filter decoder,$(ENV)),.gguf/built)
WITH_GGUF = PYTHONPATH=$(CURDIR)/.gguf$(if $(PYTHONPATH),:$(PYTHONPATH))
run: $(VENV)/requirements.lock $(GGUF) ## environment, data, the whole pipeline, a registered model
	$(if $(GGUF),$(WITH_GGUF)) $(BIN)/kedro run $(KEDRO_ENV_FLAG)

.gguf/built: requirements-gguf.txt $(VENV)/requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --upgrade --target .gguf -r $< && touch $@

# Quiet: the address of a database may hold a password.
new: $(VENV)/requirements.lock ## a conf folder for your own catalogue: NAME=myshop INTERACTIONS=... ITEMS=... [USERS=...]
	@$(BIN)/python -m tailor.new "$(NAME)" $(if $(RAW),--raw "$(RAW)") $(if $(DATABASE),--database "$(DATABASE)") \
	  $(if $(INTERACTIONS),--interactions "$(INTERACTIONS)") $(if $(ITEMS),--items "$(ITEMS)") \
	  $(if $(USERS),--users "$(USERS)") $(if $(MAP),--map $(MAP))

# DATES=4 WINDOW=0.1 BASELINES=popular,ease LEAVE_OUT=transformer SEED=0; an interrupted one goes on.
backtest: $(VENV)/requirements.lock $(GGUF) ## the recipe judged at four dates of the catalogue, does its lead hold?
	@$(if $(GGUF),$(WITH_GGUF)) $(BIN)/python -m tailor backtest $(KEDRO_ENV_FLAG) $(if $(DATES),--dates $(DATES)) $(if $(WINDOW),--window $(WINDOW)) \
	  $(if $(BASELINES),--baselines $(BASELINES)) $(if $(LEAVE_OUT),--leave-out $(LEAVE_OUT)) \
	  $(if $(filter command environment,$(origin SEED)),--seed $(SEED))

# Two processes of one thread each share the tests; WORKERS=0 runs them in one, as a debugger wants it.
WORKERS ?= 2
test: $(VENV)/requirements.lock ## all tests, in WORKERS=2 processes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile

attack: $(VENV)/requirements.lock ## a server under hostile bodies, 10,000 random requests and overload, after make run
	$(BIN)/python benchmarks/attack.py

test-postgres: $(VENV)/requirements.lock .postgres/built ## a catalogue in a PostgreSQL server, read for real
	PYTHONPATH=$(CURDIR)/.postgres $(BIN)/python -m pytest tests/postgres

.postgres/built: tests/postgres/requirements.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target .postgres -r $< && touch $@

test-gguf: $(VENV)/requirements.lock .gguf/built ## base models in GGUF files, written and read
	$(WITH_GGUF) $(BIN)/python -m pytest tests/gguf

spark-deps: .spark/built ## pyspark in a folder of its own, .spark; it needs Java 17 or newer
	@command -v java >/dev/null || test -x "$$JAVA_HOME/bin/java" || { echo "Spark needs Java 17 or newer: apt install openjdk-17-jre-headless" >&2; exit 1; }

.spark/built: requirements-spark.txt $(VENV)/requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --require-hashes --upgrade --target .spark -r $< && touch $@

test-spark: spark-deps ## split, factors, lists and the pipeline on Spark against one machine
	PYTHONPATH=$(CURDIR)/.spark $(BIN)/python -m pytest tests/unit/spark tests/spark

test-kill: $(VENV)/requirements.lock ## a process that stores added items and events is killed 50 times
	KILLS=50 $(BIN)/python -m pytest tests/unit/state -k killed

test-cuda: $(VENV)/requirements.lock ## what a GPU computes against the CPU, on a machine with a GPU and a torch for CUDA
	@$(BIN)/python -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "make test-cuda needs a GPU and a torch for CUDA: docs/how-to/scale.md")'
	$(BIN)/python -m pytest tests/cuda

test-wheel: $(VENV)/requirements.lock ## the wheel, run and served from an empty folder
	BIN=$(abspath $(BIN)) sh tests/deployment/wheel.sh

test-serve-extra: $(VENV)/requirements.lock ## the wheel with the extra serve: answers without torch and Kedro
	BIN=$(abspath $(BIN)) sh tests/deployment/serve_extra.sh

test-deploy: $(VENV)/requirements.lock .postgres/built ## what compose.yml starts, without docker
	BIN=$(abspath $(BIN)) PYTHONPATH=$(CURDIR)/.postgres sh tests/deployment/stack.sh

check: $(VENV)/requirements.lock ## ruff, format, types and import contracts
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# What the hooks of .pre-commit-config.yaml call: parts of check.
lint: $(VENV)/requirements.lock ## ruff alone
	$(BIN)/ruff check .

format-check: $(VENV)/requirements.lock ## the format alone
	$(BIN)/ruff format --check .

types: $(VENV)/requirements.lock ## mypy alone
	$(BIN)/mypy

.PHONY: docs prose test-docs test-starter viz-build notebooks
# mkdocs needs nothing of the project, but the generated pages do: they are written in .venv first.
docs: $(VENV)/requirements.lock .venv-docs/built prose ## the documentation as a site, in site/: every link and anchor checked
	$(BIN)/python -m docs.generator
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet
	@echo "Open site/index.html, or serve it: python -m http.server --directory site"

# Formulas repeat letters, and straight quotes are code: .proselintrc.json leaves these checks out.
prose: .venv-docs/built ## spelling and style of every page: codespell, proselint
	git ls-files -z '*.md' | xargs -0 .venv-docs/bin/codespell --ignore-words-list als,histroy,parms
	git ls-files -z '*.md' | xargs -0 .venv-docs/bin/proselint check

.venv-docs/built: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs && .venv-docs/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

test-docs: $(VENV)/requirements.lock ## every command of the documentation, those that run all pipelines too
	DOCS=all $(BIN)/python -m pytest tests/integration/test_documentation.py

pictures: $(VENV)/requirements.lock ## the pictures of the documentation anew, of what `make run` left; needs Chromium
	$(BIN)/python -m tests.pictures

notebooks: $(VENV)/requirements.lock ## the five notebooks, executed in a copy on the fabricated catalogue; WRITE=1 stores their outputs
	$(BIN)/python -m tests.notebooks $(if $(WRITE),--write)

test-starter: $(VENV)/requirements.lock ## a project of `kedro new --starter`, made, run and asked in an empty folder
	BIN=$(abspath $(BIN)) sh tests/deployment/starter.sh

bench: $(VENV)/requirements.lock ## speed of the core against its peers
	$(BIN)/python benchmarks/run.py

bench-house: $(VENV)/requirements.lock ## time and memory of fits, scores, requests and loading
	$(BIN)/python benchmarks/house.py

bench-lm: $(VENV)/requirements.lock ## what tuning the language model is worth, with intervals
	$(BIN)/python benchmarks/lm.py

bench-decoder: $(VENV)/requirements.lock .gguf/built ## a decoder as base model beside MiniLM: figures, seconds, memory (SEEDS="0 1 2 hybrid")
	OMP_NUM_THREADS=1 $(WITH_GGUF) $(BIN)/python benchmarks/decoder.py $(SEEDS)

bench-items: $(VENV)/requirements.lock ## one more added item after 20,000, and a start with 5,000, after make run
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/items.py

bench-noise: $(VENV)/requirements.lock ## what random clicks and machines cost, with and without the filter
	$(BIN)/python benchmarks/noise.py

bench-data: $(VENV)/requirements.lock ## time and memory of data_processing for 10 million rows
	$(BIN)/python benchmarks/data.py

bench-domains: $(VENV)/requirements.lock ## one model of two catalogues beside one of each: ENV=amazon, or test-domains
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/domains.py $(filter-out base,$(ENV))

# Users x items x rows of each catalogue; a stopped run goes on.
SIZES ?= 2000x1200x40000 10000x3000x500000 100000x30000x5000000
bench-scale: $(VENV)/requirements.lock ## time and memory of whole runs on fabricated catalogues of growing size: SIZES="10000x3000x500000 ..."
	$(BIN)/python benchmarks/scale.py $(SIZES)

bench-refit: $(VENV)/requirements.lock ## what fitting the chosen recipe on more than train is worth, and takes
	$(BIN)/python benchmarks/refit.py

bench-new-users: $(VENV)/requirements.lock ## lists for users who have shown one to ten items, in three ways
	$(BIN)/python benchmarks/new_users.py

bench-eval: $(VENV)/requirements.lock .venv-peers/built ## metrics and re-ranking against RecTools: equal values, time, memory
	$(BIN)/python benchmarks/evaluation.py

# RecTools needs numpy < 2 and pandas < 3: it cannot live beside us.
.venv-peers/built: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-rerank: $(VENV)/requirements.lock .venv-lenskit/built ## tail re-ranking against LensKit's FA*IR, after make run ENV=...
	$(BIN)/python benchmarks/rerankers.py $(ENV)

.venv-lenskit/built: benchmarks/requirements-lenskit.txt
	$(PYTHON) -m venv .venv-lenskit && .venv-lenskit/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-peers: $(VENV)/requirements.lock .venv-implicit/built .venv-lenskit/built .venv-peers/built ## models of implicit, LensKit and RecTools as baselines: ENV=... ONLY="lenskit.ease ..."
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/peers.py $(ENV) $(ONLY)

.venv-implicit/built: benchmarks/requirements-implicit.txt
	$(PYTHON) -m venv .venv-implicit && .venv-implicit/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

# RecTools' transformers need torch; entries of benchmarks/peers/models.yml that name rectools_torch need this.
.venv-rectools-torch/built: benchmarks/requirements-rectools-torch.txt
	$(PYTHON) -m venv .venv-rectools-torch && \
	  .venv-rectools-torch/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-quality: $(VENV)/requirements.lock ## the hybrid against every baseline with the same budget (hours)
	$(BIN)/python benchmarks/quality.py

bench-protocols: $(VENV)/requirements.lock ## MovieLens-1M under published protocols
	$(BIN)/python benchmarks/protocols.py

bench-cf: $(VENV)/requirements.lock ## iALS beside irspack, its growth, what the hybrid adds
	$(BIN)/python benchmarks/cf.py

bench-update: $(VENV)/requirements.lock ## new interactions in a served model, beside a fit of everything
	$(BIN)/python benchmarks/update.py

bench-serve: $(VENV)/requirements.lock ## what words return, what a request costs in process and over HTTP, after make run
	$(BIN)/python benchmarks/serve.py

bench-wishes: $(VENV)/requirements.lock ## what plain-language queries of three languages return, after make run
	$(BIN)/python benchmarks/wishes.py

bench-user-text: $(VENV)/requirements.lock ## what users' own texts add, beside the same texts dealt out at random
	$(BIN)/python benchmarks/user_text.py

bench-user-text-lm: $(VENV)/requirements.lock ## whether tuning the encoder on users' texts adds to that
	$(BIN)/python benchmarks/user_text_lm.py

bench-stability: $(VENV)/requirements.lock ## how far headlines move where training rows come in another order
	$(BIN)/python benchmarks/stability.py

bench-recent: $(VENV)/requirements.lock ## what sources on the end of a history add
	$(BIN)/python benchmarks/recent.py

bench-transformer: $(VENV)/requirements.lock ## what a transformer over the order adds, and what it is alone
	$(BIN)/python benchmarks/transformer.py

bench-published: $(VENV)/requirements.lock ## the leave-one-out tables that others publish
	$(BIN)/python benchmarks/published.py

bench-sparse: $(VENV)/requirements.lock ## item-item weights of the nearest items beside full ones: figures, time, memory
	$(BIN)/python benchmarks/sparse.py

bench-explanations: $(VENV)/requirements.lock ## do reasons add up, do they name what counts, what do they cost
	$(BIN)/python benchmarks/explanations.py

bench-elicitation: $(VENV)/requirements.lock ## what elicited answers are worth beside answers about popular items
	$(BIN)/python benchmarks/elicitation.py

bench-batch: $(VENV)/requirements.lock ## lists of all users by one process and by two: users per second, the same file
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/batch.py $(SIZES)

bench-threads: $(VENV)/requirements.lock ## factorizations on one thread and on two: seconds, and how far the factors differ
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/threads.py

bench-spark: spark-deps ## the factorization on Spark beside one machine: factors, NDCG, seconds
	PYTHONPATH=$(CURDIR)/.spark $(BIN)/python benchmarks/spark.py

bench-backtest: $(VENV)/requirements.lock $(GGUF) ## make backtest on MovieLens-100K, written as other results are
	$(BIN)/python benchmarks/backtest.py

bench-open-bandit: $(VENV)/requirements.lock ## off-policy estimates beside what the other policy really earned, Open Bandit
	$(BIN)/python benchmarks/open_bandit.py

bench-kinds: $(VENV)/requirements.lock ## kinds of behaviour as strengths, beside all alike and the strongest alone: WITH=hybrid
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kinds.py $(WITH)

bench-replay: $(VENV)/requirements.lock ## a replay in the order of time: what a user's own later rows are worth at once
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/replay.py

bench-ann: $(VENV)/requirements.lock .venv-ann/built ## an approximate index beside the exact product with every item
	$(BIN)/python benchmarks/ann.py

.venv-ann/built: benchmarks/requirements-ann.txt
	$(PYTHON) -m venv .venv-ann && .venv-ann/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-lm-ablation: $(VENV)/requirements.lock ## what each switch of tuning is worth, on MovieLens-100K or ENV=anime, ml1m, beauty, toys
	$(BIN)/python benchmarks/lm_ablation.py $(ENV)

viz: $(VENV)/requirements.lock ## kedro-viz: pipelines, layers, previews
	@echo "One box for each pipeline: http://127.0.0.1:4141/?types=nodes; with datasets: http://127.0.0.1:4141"
	$(BIN)/kedro viz run --no-browser $(KEDRO_ENV_FLAG)

viz-build: $(VENV)/requirements.lock ## kedro-viz as a folder of files with previews, build/, for any web server
	$(if $(filter-out base,$(ENV)),KEDRO_ENV=$(ENV)) $(BIN)/kedro viz build --include-previews

# PORT=8080 for another port, of the servers too.
mlflow: $(VENV)/requirements.lock ## MLflow's pages on http://127.0.0.1:5000: runs, figures, the registry
	$(BIN)/python -m tailor.mlflow_page $(KEDRO_ENV_FLAG) --port $(or $(PORT),5000)

# Both servers find the model by its alias, on loopback.
MODEL := tailor$(if $(filter-out base,$(ENV)),-$(ENV))
STORE = MLFLOW_TRACKING_URI="$$($(BIN)/python -m tailor store $(KEDRO_ENV_FLAG))"
serve: $(VENV)/requirements.lock ## the champion and a page to try it, on http://127.0.0.1:5071
	$(BIN)/python -m tailor serve $(KEDRO_ENV_FLAG) $(if $(PORT),--port $(PORT))

# MLflow's own scoring server; it finds uvicorn on the PATH.
serve-mlflow: $(VENV)/requirements.lock ## the same model behind MLflow's scoring server
	$(STORE) PATH="$(CURDIR)/$(BIN):$$PATH" \
	  mlflow models serve -m "models:/$(MODEL)@champion" --env-manager local -h 127.0.0.1 -p 5071

# Mutation testing needs tools that the project does not: they change the code, .venv runs the tests.
SEED ?= 0
N ?= 150
mutants: $(VENV)/requirements.lock .venv-mutants/built ## do unit tests notice changes of the code? SEED=0 N=150 ONLY=hybrid
	.venv-mutants/bin/python -m tests.mutation.run --python $(CURDIR)/$(BIN)/python --seed $(SEED) --n $(N) --only "$(ONLY)"

.venv-mutants/built: benchmarks/requirements-mutants.txt
	$(PYTHON) -m venv .venv-mutants && .venv-mutants/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

clean: ## remove .venv and everything a run wrote
	rm -rf $(VENV) .venv-peers .venv-lenskit .venv-implicit .venv-rectools-torch .venv-ann .venv-mutants .venv-docs .mutants .postgres .gguf .spark docs/reference site build dist mlflow.db* mlruns mlartifacts .viz conf/local/parameters_tuned.yml
	find data -mindepth 1 ! -name README.md -delete
