# syntax=docker/dockerfile:1
# Tailor: `docker run … run --env=ml1m` runs the pipelines, without arguments the champion is served on port 5071.
# docs/deployment.md says what each part is for; compose.yml puts it beside an MLflow server and PostgreSQL.
ARG PYTHON=3.11
# everything: runs and the server. serving: the server alone, without torch and Kedro.
ARG INSTALL=everything

FROM python:${PYTHON}-slim AS everything
# A mirror, or an index with smaller builds of torch: --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/tailor
COPY requirements.lock .
RUN /opt/tailor/bin/pip install --no-deps -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/tailor/bin/pip install --no-deps --no-build-isolation . && /opt/tailor/bin/pip check

FROM python:${PYTHON}-slim AS serving
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/tailor
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/tailor/bin/pip install --constraint requirements.lock '.[serve]'

FROM ${INSTALL} AS build

FROM python:${PYTHON}-slim
# OpenMP, for torch, implicit and irspack.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
  && useradd --uid 10001 --create-home tailor && install -d -o tailor /srv/tailor /srv/tailor/data
COPY --from=build /opt/tailor /opt/tailor
# Owned by root: a run reads it and cannot write to it. Mount a folder of yours over it for other environments.
COPY conf /srv/tailor/conf
ENV PATH=/opt/tailor/bin:$PATH \
  DO_NOT_TRACK=1 \
  GIT_PYTHON_REFRESH=quiet \
  HF_HUB_OFFLINE=1 \
  KEDRO_DISABLE_TELEMETRY=1 \
  PYTHONHASHSEED=0 \
  PYTHONUNBUFFERED=1 \
  TOKENIZERS_PARALLELISM=false
USER tailor
WORKDIR /srv/tailor
VOLUME /srv/tailor/data
EXPOSE 5071
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5071/health', timeout=4)"]
ENTRYPOINT ["tailor"]
# Any address but loopback needs TAILOR_TOKEN.
CMD ["serve", "--host", "0.0.0.0"]
