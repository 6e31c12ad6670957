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
.PHONY: help run test check bench bench-lm bench-lm-ablation bench-quality bench-eval bench-rerank bench-protocols bench-serve bench-ann bench-cf bench-update viz serve serve-mlflow clean

help:
	@echo "make run    environment, data, the whole pipeline, a registered model   (ENV=ml1m, ENV=anime, ENV=test)"
	@echo "make test   all tests        make check  ruff, types, import contracts"
	@echo "make viz    kedro-viz        make serve  the champion and a page to try it on http://127.0.0.1:5071"
	@echo "make serve-mlflow  the same model behind MLflow's scoring server"
	@echo "make bench  speed of the core   make bench-lm  what tuning the LM is worth   make bench-lm-ablation  switch by switch"
	@echo "make bench-quality  the hybrid against every baseline with the same budget (hours)   make bench-eval  metrics against RecTools"
	@echo "make bench-protocols  MovieLens-1M under published protocols"
	@echo "make bench-cf  the CF engine beside irspack, its growth, what the hybrid adds"
	@echo "make bench-update  new interactions in a served model, beside a fit of everything"
	@echo "make bench-rerank  tail re-ranking against LensKit's FA*IR, after make run   (ENV=...)"
	@echo "make bench-serve  what words return, what a request costs in process and over HTTP, after make run"
	@echo "make bench-ann  an approximate index beside the exact scan"
	@echo "make clean  remove .venv and everything a run wrote"

$(VENV)/requirements.lock: requirements.lock
	@if cmp -s requirements.lock $@; then touch $@; else \
	  echo "Building $(VENV) from requirements.lock ..." && \
	  $(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python >= 3.11 is needed: make PYTHON=/path/to/python3.11")' && \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile --no-deps -r requirements.lock && \
	  $(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	  $(BIN)/python -m pip check && \
	  cp requirements.lock $@; fi

run: $(VENV)/requirements.lock
	$(BIN)/kedro run $(KEDRO_ENV_FLAG)

test: $(VENV)/requirements.lock
	$(BIN)/python -m pytest

check: $(VENV)/requirements.lock
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/run.py

bench-lm: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/lm.py

bench-eval: $(VENV)/requirements.lock .venv-peers/built
	$(BIN)/python benchmarks/evaluation.py

# RecTools needs numpy < 2 and pandas < 3: it cannot live beside us.
.venv-peers/built: benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-rerank: $(VENV)/requirements.lock .venv-lenskit/built
	$(BIN)/python benchmarks/rerankers.py $(ENV)

.venv-lenskit/built: benchmarks/requirements-lenskit.txt
	$(PYTHON) -m venv .venv-lenskit && .venv-lenskit/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-quality: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/quality.py

bench-protocols: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/protocols.py

bench-cf: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/cf.py

bench-update: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/update.py

bench-serve: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/serve.py

bench-ann: .venv-ann/built
	.venv-ann/bin/python benchmarks/ann.py

.venv-ann/built: benchmarks/requirements-ann.txt
	$(PYTHON) -m venv .venv-ann && .venv-ann/bin/python -m pip install -qq --disable-pip-version-check -r $< && touch $@

bench-lm-ablation: $(VENV)/requirements.lock
	$(BIN)/python benchmarks/lm_ablation.py

viz: $(VENV)/requirements.lock
	$(BIN)/kedro viz run $(KEDRO_ENV_FLAG)

# Both servers find the model by its alias, on loopback.
MODEL := tailor$(if $(filter-out base,$(ENV)),-$(ENV))
STORE = MLFLOW_TRACKING_URI="$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"
serve: $(VENV)/requirements.lock
	$(STORE) $(BIN)/python -m tailor.serving.server --model $(MODEL)

# MLflow's own scoring server; it finds uvicorn on the PATH.
serve-mlflow: $(VENV)/requirements.lock
	$(STORE) PATH="$(CURDIR)/$(BIN):$$PATH" \
	  mlflow models serve -m "models:/$(MODEL)@champion" --env-manager local -h 127.0.0.1 -p 5071

clean:
	rm -rf $(VENV) .venv-peers .venv-lenskit .venv-ann mlflow.db mlruns mlartifacts .viz conf/local/parameters_tuned.yml
	find data -mindepth 1 ! -name README.md -delete
