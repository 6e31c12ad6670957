"""`make mlflow`: MLflow's pages on this machine alone, beginning with the catalogue's runs."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

import mlflow

from tailor.errors import BadInputError, TailorError
from tailor.registry.store import sqlite_file, tracking_uri
from tailor.types import Parameters

_HOST = "127.0.0.1"


def find_store(project: Path, env: str | None) -> tuple[str, str]:
    """Return the address of an environment's store, and the name of its experiment.

    Args:
        project: its folder.
        env: folder of conf/; None for the default.

    Raises:
        BadInputError: no run has made the store yet, or there is no such environment.
    """
    if env and not (project / "conf" / env).is_dir():
        raise BadInputError(f"conf/{env}: there is no such environment; name a folder of conf/ as ENV.")
    loader = _config_loader(project, env)
    uri, file = tracking_uri(loader), sqlite_file(tracking_uri(loader))
    if file is not None and not (project / file).is_file():
        raise BadInputError(f"{file}: there is no MLflow store yet; `make run` makes it.")
    address = uri if file is None else f"sqlite:///{(project / file).resolve()}"
    return address, str(loader["mlflow"]["tracking"]["experiment"]["name"])


def _config_loader(project: Path, env: str | None) -> Any:
    """Return Kedro's loader of the project's settings, without what Kedro says when it is imported."""
    logging.disable(logging.INFO)
    from kedro.config import OmegaConfigLoader  # noqa: PLC0415

    from tailor import settings  # noqa: PLC0415

    options: Parameters = dict(settings.CONFIG_LOADER_ARGS)
    return OmegaConfigLoader(str(project / "conf"), env=env, **options)


def addresses(uri: str, experiment: str, root: str) -> list[str]:
    """Return what to open: the experiment's runs and the latest of them.

    Args:
        uri: of the store.
        experiment: its name.
        root: address of MLflow's pages.

    Raises:
        BadInputError: the store has no such experiment.
    """
    client = mlflow.MlflowClient(uri, uri)
    known = client.get_experiment_by_name(experiment)
    if known is None:
        raise BadInputError(f"{uri}: it has no experiment '{experiment}' yet; `make run` makes it.")
    page = f"{root}/#/experiments/{known.experiment_id}"
    runs = client.search_runs([known.experiment_id], order_by=["attributes.start_time DESC"], max_results=1)
    return [f"Runs: {page}/runs", *(f"Latest: {page}/runs/{run.info.run_id} ({run.info.run_name})" for run in runs)]


def main(arguments: list[str] | None = None) -> int:
    """Say what to open, then become MLflow's server; return the exit status where there is none to start."""
    parser = argparse.ArgumentParser(prog="python -m tailor.mlflow_page", description=__doc__)
    parser.add_argument("--env", help="folder of conf/")
    parser.add_argument("--port", type=int, default=5000)
    args = parser.parse_args(arguments)
    try:
        uri, experiment = find_store(Path.cwd(), args.env)
        is_server = uri.startswith(("http://", "https://"))
        if not is_server:
            _check_port(args.port)
        print("\n".join(addresses(uri, experiment, uri if is_server else f"http://{_HOST}:{args.port}")), flush=True)
    except TailorError as problem:
        print(problem, file=sys.stderr)
        return 1
    if not is_server:
        _serve(uri, args.port)
    return 0


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as problem:
            raise BadInputError(
                f"Port {port} cannot be used ({problem.strerror}); name another one: PORT=5001."
            ) from None


def _serve(uri: str, port: int) -> None:
    """Become MLflow's server, without its workers for jobs, of which there are none."""
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")
    server = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", _HOST]
    os.execv(sys.executable, [*server, "--port", str(port), "--workers", "1"])  # noqa: S606


if __name__ == "__main__":
    sys.exit(main())
