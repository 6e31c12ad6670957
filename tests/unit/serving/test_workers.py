"""What each process of a server builds, and what one command says where none can."""

import pickle
import socket
from types import SimpleNamespace

import pytest
from uvicorn.config import STARTUP_FAILURE

from tailor.errors import BadInputError
from tailor.serving import workers
from tailor.serving.http import Limits
from tailor.serving.workers import ServerOptions, Supervisor, WorkerConfig, run


@pytest.fixture
def built(monkeypatch):
    """Build apps without a model; returns what each part was given."""
    calls = {}
    monkeypatch.setenv("TAILOR_TOKEN", "secret")
    monkeypatch.setattr(workers, "open_champion", lambda *given: calls.update(champion=given) or "the champion")

    def create_app(*given):
        calls["app"] = given
        meter = SimpleNamespace(count=lambda *counted: calls.update(counted=counted))
        return SimpleNamespace(state=SimpleNamespace(meter=meter))

    monkeypatch.setattr(workers, "create_app", create_app)
    monkeypatch.setattr(workers, "allow_files", lambda n: n)
    monkeypatch.setattr(workers.gc, "freeze", lambda: calls.update(frozen=True))
    return calls


def test_an_app_is_built_of_its_options(built, tmp_path):
    limits = Limits(8, 3, 2.5, 4.0)
    options = ServerOptions("shop", "next", tmp_path, hosts=("shop.example",), limits=limits, poll_s=60.0, workers=4)
    _, connection = options.build()
    assert built["champion"] == ("shop", "next", tmp_path)
    assert built["app"] == ("the champion", "secret", limits, 60.0, ["shop.example"], None, None)
    assert (connection.head_s, connection.max_connections) == (4.0, 1000)
    connection.refused(400)
    assert built["counted"] == ("other", 400)
    assert built["frozen"]


def test_an_experiment_loads_the_challenger_and_says_where_exposures_go(built, monkeypatch, tmp_path, caplog):
    store = object()
    champion = SimpleNamespace(version="8", items=SimpleNamespace(events=SimpleNamespace(store=store)))
    opened = []
    monkeypatch.setattr(workers, "open_champion", lambda *given: opened.append(given) or champion)
    ServerOptions("shop", items=tmp_path, experiment="text", challenger_share=0.2, log_exposures=True).build()
    assert opened == [("shop", "champion", tmp_path), ("shop", "challenger", tmp_path)]
    experiment, exposures = built["app"][5:]
    assert (experiment.name, experiment.share, experiment.challenger) == ("text", 0.2, champion)
    assert exposures.store is store
    assert "Experiment text: both arms are version 8, an A/A test" in caplog.text


def test_settings_reach_another_process_before_anything_is_loaded(built):
    config = pickle.loads(pickle.dumps(WorkerConfig(ServerOptions(port=80, workers=2))))  # noqa: S301  (our own bytes)
    assert config.options == ServerOptions(port=80, workers=2)
    assert (config.port, config.workers, config.access_log, config.server_header, config.ws) == (
        *(80, 2, False, False),
        "none",
    )
    assert built == {}


def refuse(*_):
    raise BadInputError("models:/tailor@champion cannot be served. Run `make run` first.")


def test_a_model_that_cannot_be_loaded_ends_a_process_of_several_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(workers, "open_champion", refuse)
    with pytest.raises(SystemExit) as ended:
        WorkerConfig(ServerOptions(workers=2)).load()
    assert ended.value.code == STARTUP_FAILURE  # after which no other is started
    assert capsys.readouterr().err == "models:/tailor@champion cannot be served. Run `make run` first.\n"


def test_a_model_that_cannot_be_loaded_is_raised_where_there_is_one_process(monkeypatch):
    monkeypatch.setattr(workers, "open_champion", refuse)
    with pytest.raises(BadInputError, match="cannot be served"):
        run(ServerOptions(port=0))


@pytest.mark.parametrize("n_workers", [1, 2])
def test_an_address_that_is_taken_is_one_sentence(n_workers, monkeypatch):
    monkeypatch.setattr(workers, "open_champion", refuse)  # and no model is loaded before
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadInputError, match=rf"127.0.0.1:{port} cannot be listened on: .*in use.* Choose --port"):
            run(ServerOptions(port=port, workers=n_workers))
    with pytest.raises(BadInputError, match=r"cannot be listened on: .*0-65535"):
        run(ServerOptions(port=70_000, workers=n_workers))


def test_the_gauges_of_a_process_that_died_are_forgotten(monkeypatch):
    forgotten = []
    monkeypatch.setattr(workers.multiprocess, "mark_process_dead", forgotten.append)
    supervisor = Supervisor.__new__(Supervisor)
    supervisor.processes = [SimpleNamespace(pid=1), SimpleNamespace(pid=2)]

    def replace(self):
        self.processes[0] = SimpleNamespace(pid=3)

    monkeypatch.setattr(workers.Multiprocess, "keep_subprocess_alive", replace)
    supervisor.keep_subprocess_alive()
    assert forgotten == [1]
