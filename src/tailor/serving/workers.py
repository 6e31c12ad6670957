"""What one server process runs, and several of them on one address.

Each process has its own interpreter and so its own core. The arrays of a package are mapped from its files, so the
processes share one copy of them in memory; ids, titles and the encoder of words are in each.
"""

import gc
import logging
import os
import socket
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from prometheus_client import multiprocess
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from tailor.errors import BadInputError, TailorError
from tailor.mlflow_server import quiet
from tailor.serving.champion import Champion, open_champion
from tailor.serving.connections import BoundedConnection, allow_files, bounded
from tailor.serving.experiment import CHALLENGER, Experiment, ExposureLog
from tailor.serving.guards import METRICS_VARIABLE
from tailor.serving.http import Limits, create_app

log = logging.getLogger(__name__)
#: Seconds without a sign of life after which a process is replaced.
_SILENCE_S = 20


@dataclass(frozen=True)
class ServerOptions:
    """What the command line says of a server; the token comes from the environment."""

    model: str = "tailor"
    alias: str = "champion"
    items: Path = Path("data/serving/tailor.json")
    host: str = "127.0.0.1"
    port: int = 5071
    hosts: tuple[str, ...] = ()
    """Names of this server beside those of loopback."""
    limits: Limits = field(default_factory=Limits)
    """Of each process."""
    poll_s: float = 10.0
    """Seconds between two looks at the alias."""
    connections: int = 4000
    """Open connections, of all processes."""
    workers: int = 1
    experiment: str = ""
    """Name of a test of the challenger; empty: there is none."""
    challenger_share: float = 0.0
    """Of the users who get the challenger."""
    challenger: str = CHALLENGER
    """Alias of the challenger."""
    log_exposures: bool = False
    """Whether what is listed is stored before it is answered."""

    def build(self) -> tuple[FastAPI, type[BoundedConnection]]:
        """Load the champion; return the app and the class of its connections.

        Raises:
            BadInputError: there is no such model, or it cannot be loaded.
        """
        champion = open_champion(self.model, self.alias, self.items)
        token = os.environ.get("TAILOR_TOKEN", "")
        tested, exposures = self._experiment(champion), self._exposures(champion)
        app = create_app(champion, token, self.limits, self.poll_s, list(self.hosts), tested, exposures)
        gc.freeze()  # what is loaded stays: collecting garbage between requests does not look through it
        refused = app.state.meter.count
        most = allow_files(max(1, self.connections // self.workers))
        return app, bounded(most, self.limits.body_s, lambda status: refused("other", status))

    def _experiment(self, champion: Champion) -> Experiment | None:
        """Load the challenger of the experiment that is asked for; None where none is."""
        if not self.experiment:
            return None
        challenger = open_champion(self.model, self.challenger, self.items)
        if challenger.version == champion.version:
            log.warning("Experiment %s: both arms are version %s, an A/A test", self.experiment, champion.version)
        return Experiment(self.experiment, self.challenger_share, challenger)

    def _exposures(self, champion: Champion) -> ExposureLog | None:
        """Return where exposures are written; None where that is not asked for."""
        return ExposureLog(champion.items.events.store) if self.log_exposures else None


class WorkerConfig(uvicorn.Config):
    """Settings of uvicorn that build the app in the process that serves it."""

    def __init__(self, options: ServerOptions) -> None:
        """Take the options; nothing is loaded yet, so that another process can take them too."""
        # Paths of requests carry ids: no access log.
        super().__init__(
            "",
            host=options.host,
            port=options.port,
            workers=options.workers,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_worker_healthcheck=_SILENCE_S,
        )
        self.options = options

    def load(self) -> None:
        """Build the app, then load all else; a model that cannot be loaded is one sentence and the end.

        Raises:
            SystemExit: the model cannot be loaded, in a process of several.
        """
        set_up_logging()
        try:
            self.app, self.http = self.options.build()
        except TailorError as problem:
            if self.workers == 1:
                raise
            print(problem, file=sys.stderr, flush=True)
            sys.exit(STARTUP_FAILURE)
        super().load()


class Supervisor(Multiprocess):
    """Keeps as many processes as asked for; one that dies or hangs is replaced, and its gauges are forgotten."""

    def keep_subprocess_alive(self) -> None:
        """Replace what does not answer."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for number in before - {process.pid for process in self.processes}:
            multiprocess.mark_process_dead(number)  # type: ignore[no-untyped-call]


def run(options: ServerOptions) -> int:
    """Serve until stopped; return the exit status.

    Raises:
        BadInputError: the address is taken, or the model cannot be loaded (one process).
    """
    if options.workers == 1:
        _bound(options).close()  # told at once, not when the model is in memory
        set_up_logging()
        config = WorkerConfig(options)
        config.load()
        server = uvicorn.Server(config)
        server.run()
        return 0 if server.started else STARTUP_FAILURE
    with tempfile.TemporaryDirectory(prefix="tailor-metrics-") as folder, _bound(options) as listening:
        os.environ[METRICS_VARIABLE] = folder
        supervisor = Supervisor(WorkerConfig(options), sockets=[listening])
        supervisor.run()
    failed = any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
    return STARTUP_FAILURE if failed else 0


def _bound(options: ServerOptions) -> socket.socket:
    """Return the socket that all processes listen on.

    Raises:
        BadInputError: the address is taken, or no address of this machine.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((options.host, options.port))
    except (OSError, OverflowError) as problem:
        listening.close()
        raise BadInputError(
            f"{options.host}:{options.port} cannot be listened on: {problem}. Choose --port (`make serve PORT=…`)."
        ) from None
    listening.set_inheritable(True)
    return listening


def set_up_logging() -> None:
    """Let this process log as a server does."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    quiet()
