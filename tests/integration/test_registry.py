"""The hand-off: the registered model in a fresh process, over HTTP, and its aliases and tags."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pandas as pd
import pytest

from tailor.errors import BadInputError
from tailor.state.events import EventStore
from tests.conftest import BIN, PATIENCE_S, environment, make_project, run_here

pytestmark = pytest.mark.slow

#: What ``kedro run`` does after the models are fitted, up to the alias.
HAND_OVER = ["evaluation", "reranking", "registration", "promotion"]
FRESH = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/tailor-test@champion")
frame = pd.DataFrame(json.loads(sys.argv[1]))
print("ANSWER" + model.predict(frame, params=json.loads(sys.argv[2])).to_json(orient="records"))
assert not {"torch", "transformers", "kedro", "irspack"} & set(sys.modules), "serving loads training code"
"""


REFUSED = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/tailor-test@champion")
refusals = []
for rows, params in zip(json.loads(sys.argv[1]), json.loads(sys.argv[2]), strict=True):
    try:
        refusals.append(str(model.predict(pd.DataFrame(rows), params=params).to_dict()))
    except Exception as error:
        refusals.append(str(error))
print("ANSWER" + json.dumps(refusals))
"""


def ask_fresh(finished, rows, params, program=FRESH):
    return subprocess.run(
        [sys.executable, "-c", program, json.dumps(rows), json.dumps(params)],
        env=environment() | {"MLFLOW_TRACKING_URI": finished.tracking_uri},
        cwd=finished.project,
        capture_output=True,
        text=True,
        check=False,
    )


def answers(done):
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("ANSWER")[1])


@pytest.fixture(scope="module")
def known(finished):
    users = pd.read_parquet(finished.data / "03_primary/users.parquet")
    return users["user_id"][users["bucket"] == "q4"].iloc[0]


def test_a_fresh_process_answers_everybody(finished, known):
    rows = {"user_id": [known, "nobody", None], "history": [None, ["i1", "i5"], []]}
    got = answers(ask_fresh(finished, rows, {"k": 5}))
    assert [row["path"] for row in got] == ["known_user", "fold_in", "popular"]
    assert all(len(row["item_ids"]) == 5 for row in got)
    assert not {"i1", "i5"} & set(got[1]["item_ids"])


def test_the_served_lists_are_the_batch_lists(finished, known):
    batch = pd.read_parquet(finished.data / "07_model_output/batch_recommendations.parquet")
    got = answers(ask_fresh(finished, {"user_id": [known]}, {"k": 20}))
    assert got[0]["item_ids"] == batch[batch["user_id"] == known].sort_values("rank")["item_id"].tolist()


REACH = """
import json, sys
import numpy as np
import tailor
from tailor.serving.schema import Request, Settings
champion = tailor.load("models:/tailor-test@champion")
requests = [Request(user_id=user) for user in champion.users.ids.tolist()]
answers = champion.recommend(requests, Settings(k=20, tail_boost=1.0))
tail = set(champion.items.ids[champion.model.tail].tolist())
print("ANSWER" + json.dumps([len(tail & set(answer.item_ids)) for answer in answers if answer.path == "known_user"]))
"""


def test_at_a_tail_boost_of_1_every_list_that_is_served_holds_four_items_of_the_tail(finished):
    held = answers(ask_fresh(finished, [], {}, REACH))
    assert len(held) > 100
    assert min(held) >= 4


REFUSALS = [
    ({"user_id": ["u1"], "histroy": [["i1"]]}, {}, "Unknown column 'histroy'. Did you mean 'history'?"),
    ({"usr": ["u1"]}, {}, "Unknown column 'usr'"),
    (
        {"user_id": ["u1"]},
        {"top_k": 3},
        "Unknown param 'top_k'. Known: k, exclude_seen, tail_boost, popularity_debias, cold_boost, min_score, "
        "rerank, half_life",
    ),
    ({"user_id": ["u1"]}, {"tail_boost": 2.0}, "tail_boost = 2.0 is out of bounds: 0 to 1"),
    ({"user_id": ["u1"]}, {"k": 0}, "k = 0 is out of bounds"),
    ({"history": ["i1"]}, {}, "Row 0: history: 'i1' is not a list"),
    ({"user_id": ["u1"]}, {"diversity": 0.2}, "write rerank: {method: mmr, strength: ...}"),
    ({"user_id": ["u1"]}, {"rerank": {"method": "mr", "strength": 0.2}}, "no re-ranker 'mr'. Did you mean 'mmr'?"),
]


def test_a_fresh_process_refuses_by_name(finished):
    done = ask_fresh(finished, [case[0] for case in REFUSALS], [case[1] for case in REFUSALS], REFUSED)
    for (_, _, words), message in zip(REFUSALS, answers(done), strict=True):
        assert words in message


LOADED = """
import tailor
model = tailor.load("models:/tailor-test@champion")
print("ANSWER" + str(len(model.item_ids)))
"""


def test_code_that_was_changed_in_the_store_is_refused(finished):
    assert answers(ask_fresh(finished, [], {}, LOADED)) == 240
    (file,) = finished.data.glob("mlruns/models/*/artifacts/code/tailor/serving/recommender.py")
    text = file.read_text()
    try:
        file.write_text(text + "# changed")
        done = ask_fresh(finished, [], {}, LOADED)
    finally:
        file.write_text(text)
    assert done.returncode == 1
    assert "Damaged package: code/tailor/serving/recommender.py is not what was registered" in done.stderr


def test_the_adapter_is_packaged_beside_the_base_encoder(finished):
    (encoder,) = finished.data.glob("mlruns/models/*/artifacts/artifacts/recommender/encoder")
    weights = {path.relative_to(encoder).as_posix() for path in encoder.rglob("*.safetensors")}
    assert weights == {"model.safetensors", "adapter/adapter_model.safetensors", "whitening.safetensors"}
    assert sorted(path.name for path in (encoder.parent / "words").iterdir()) == ["items.safetensors", "words.json"]


def test_tags_and_aliases(finished):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=finished.tracking_uri, registry_uri=finished.tracking_uri)
    version = client.get_model_version_by_alias("tailor-test", "champion")
    assert str(version.version) == "1"
    assert version.tags["fit_on"] == "all"
    assert version.tags["evaluated"] == f"{version.run_id}, {version.tags['split_hash']}"
    fingerprint = json.loads((finished.data / "03_primary/fingerprint.json").read_text())
    assert {key: version.tags[key] for key in fingerprint} == fingerprint
    assert set(version.tags) >= {"data_hash", "split_hash", "git_commit", "seed", "model"}
    run = client.get_run(version.run_id)
    assert run.data.params["lm_finetuning.epochs"] == "3"
    assert run.data.params["data_processing.split.train"] == "0.7"
    assert not [name for name in run.data.params if name.startswith("parameters.")]
    assert run.data.params["chosen.weights.warm.ials"]
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"figures", "language_model", "evaluated", "tables", "report.html"} <= artifacts
    figures = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    names = ("comparison", "trade_off", "frontier", "calibration", "training", "heat_map")
    assert figures == {f"figures/{name}.{kind}" for name in names for kind in ("html", "json")}
    inside = {item.path for item in client.list_artifacts(run.info.run_id, "language_model")}
    assert inside == {"language_model/adapter", "language_model/item_embeddings.safetensors"}


def test_headlines_are_logged_with_the_model_and_the_split(finished):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=finished.tracking_uri, registry_uri=finished.tracking_uri)
    version = client.get_model_version("tailor-test", "1")
    run = client.get_run(version.run_id)
    metrics = pd.read_parquet(finished.data / "08_reporting/metrics.parquet")
    of_cold = metrics.query(
        "model == 'hybrid_lora' and split == 'test' and candidates == 'mixed' and item_bucket == 'cold' "
        "and user_bucket == 'all' and metric == 'ndcg' and k == 20"
    )
    assert run.data.metrics["mixed.cold.ndcg_at_20"] == pytest.approx(float(of_cold["value"].iloc[0]))
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    of_model = {one.key: one for one in logged.metrics if not one.key.startswith("data.")}
    assert 20 <= len(of_model) <= 30
    assert {"ratio.warm", "ratio.warm.low", "ratio.warm.high", "mixed.tail_coverage_at_20"} <= set(of_model)
    fingerprint = json.loads((finished.data / "03_primary/fingerprint.json").read_text())
    assert {one.dataset_digest for one in of_model.values()} == {fingerprint["split_hash"]}
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("tailor-test", fingerprint["split_hash"])
    history = pd.read_parquet(finished.data / "08_reporting/lm_history.parquet").set_index("epoch")["cold_ndcg"]
    steps = {one.step: one.value for one in client.get_metric_history(version.run_id, "lm.cold_ndcg")}
    assert steps == pytest.approx(history.to_dict())


def test_the_run_and_the_version_say_what_they_are(finished):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=finished.tracking_uri, registry_uri=finished.tracking_uri)
    version = client.get_model_version("tailor-test", "1")
    run = client.get_run(version.run_id)
    assert run.info.run_name.startswith("tailor-test, seed 0")
    assert run.info.status == "FINISHED"
    assert run.data.tags["mlflow.note.content"].startswith("Registered **tailor-test** version 1 (hybrid_lora).")
    assert version.description == (finished.data / "08_reporting/model_card.md").read_text()
    assert version.tags["split_hash"] in version.description
    assert client.get_registered_model("tailor-test").description.startswith("Recommenders for the long tail")
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.note.content"].startswith("Runs of Tailor on one catalogue.")


def test_the_models_requirements_never_name_tailor(finished):
    import mlflow

    mlflow.set_tracking_uri(finished.tracking_uri)
    os.chdir(finished.project)
    path = mlflow.pyfunc.get_model_dependencies("models:/tailor-test@champion")
    lines = open(path).read().splitlines()  # noqa: SIM115, PTH123
    assert lines
    assert not any(line.startswith("tailor") for line in lines)
    assert all("==" in line for line in lines)


def test_challenge_promote_refuse_roll_back(finished, monkeypatch):
    """Another model is promoted by easy rules, the next is refused by strict ones, a rollback undoes the promotion."""
    import mlflow

    from tailor.registry import promote

    client = mlflow.MlflowClient(tracking_uri=finished.tracking_uri, registry_uri=finished.tracking_uri)

    def outcome():
        return json.loads((finished.data / "06_models/promotion.json").read_text())

    def champion():
        return str(client.get_model_version_by_alias("tailor-test", "champion").version)

    assert outcome()["decision"] == "first"
    rules = {"max_mixed_loss": 1.0, "min_tail_gain": -1.0, "max_coverage_loss": 1.0, "max_p99_ms": 60_000.0}
    easy = {"evaluation": {"registered": "hybrid_frozen", "promotion": rules}}
    run_here(finished.project, monkeypatch, params=easy, pipeline_names=HAND_OVER)
    assert (outcome()["version"], outcome()["alias"], outcome()["decision"]) == ("2", "champion", "promoted")
    assert champion() == "2"
    tags = client.get_model_version("tailor-test", "2").tags
    assert (tags["decision"], tags["replaced_version"], tags["n_previous_evaluations"]) == ("promoted", "1", "1")
    assert "holds: mixed NDCG" in tags["reasons"]
    strict = {"evaluation": {"promotion": {"min_tail_gain": 0.9}}}
    run_here(finished.project, monkeypatch, params=strict, pipeline_names=HAND_OVER)
    assert (outcome()["version"], outcome()["alias"], outcome()["decision"]) == ("3", "challenger", "refused")
    assert any(reason.startswith("fails: tail NDCG") for reason in outcome()["reasons"])
    assert champion() == "2"
    log = pd.read_parquet(finished.data / "08_reporting/promotion_log.parquet")
    assert log[["version", "decision"]].to_numpy().tolist() == [["1", "first"], ["2", "promoted"], ["3", "refused"]]
    # An interruption between decision and alias leaves the old champion.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, "set_registered_model_alias", interrupted)
        with pytest.raises(KeyboardInterrupt):
            promote.move_alias(outcome(), {"decision": "promoted", "reasons": [], "n_previous_evaluations": 0})
    assert champion() == "2"
    run_here(finished.project, monkeypatch, pipeline_names=["rollback"])
    assert champion() == "1"
    with pytest.raises(Exception, match="replaced no other: nothing to roll back to"):
        run_here(finished.project, monkeypatch, pipeline_names=["rollback"])


def test_the_same_options_with_a_worse_adapter_are_refused(finished, tmp_path, monkeypatch):
    """An adapter that has hardly learnt, everything else as it was: the champion stays, and the reason is a figure."""
    project = make_project(tmp_path / "p")
    shutil.copytree(finished.data, project / "data" / "test", ignore=shutil.ignore_patterns("mlflow.db", "mlruns"))
    run_here(project, monkeypatch, pipeline_names=HAND_OVER)
    worse = {"lm_finetuning": {"epochs": 1, "learning_rate": 1e-7}}
    rest = ["lm_finetuning", "hybrid_cf", *HAND_OVER]
    run_here(project, monkeypatch, params=worse, pipeline_names=rest)
    decided = json.loads((project / "data/test/06_models/promotion.json").read_text())
    assert (decided["version"], decided["alias"], decided["decision"]) == ("2", "challenger", "refused")
    assert any(reason.startswith("fails: ") and "NDCG" in reason for reason in decided["reasons"])
    assert decided["reasons"][-1] == "champion: version 1, measured under the same split"


def interrupted(*_):
    raise KeyboardInterrupt


@pytest.fixture
def compare(finished, monkeypatch):
    """``compare_with_champion`` on what the run left, with the challenger's lists changed."""
    import mlflow
    from safetensors.numpy import load_file
    from scipy import sparse

    from tailor.datasets import ListsDataset
    from tailor.evaluation.protocol import test_protocol
    from tailor.hybrid.holdout import gather_train_set
    from tailor.options import EvaluationOptions
    from tailor.registry.promote import ComparedRows, compare_with_champion
    from tailor.wiring import TEST_PROTOCOL

    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.tracking_uri)
    mlflow.set_tracking_uri(finished.tracking_uri)
    monkeypatch.chdir(finished.project)

    def load(name):
        return sparse.csr_matrix(sparse.load_npz(finished.data / f"04_feature/{name}.npz"))

    registered = json.loads((finished.data / "06_models/registered_model.json").read_text()) | {"alias": "challenger"}
    lists = ListsDataset(filepath=str(finished.data / "07_model_output/recommendations/test")).load()
    users, items = (pd.read_parquet(finished.data / f"03_primary/{name}.parquet") for name in ("users", "items"))
    arrays = ("side_features", "user_texts")
    known = {argument: load(name) for argument, name in TEST_PROTOCOL.items() if argument not in arrays}
    known |= {name: load_file(finished.data / f"04_feature/{TEST_PROTOCOL[name]}.safetensors") for name in arrays}
    train_set = gather_train_set(known["train"], known["order"], items, known["side_features"], known["user_texts"])
    rows = ComparedRows(users, items, train_set, test_protocol(items, **known), load("test_positives"))
    options = EvaluationOptions(promotion={"max_p99_ms": 60_000.0})

    def call(change=lambda frame: frame, **changed):
        changed_lists = {name: lambda read=read: change(read()) for name, read in lists.items()}
        return compare_with_champion(registered | changed, changed_lists, rows, options)

    return call


def test_a_worse_model_is_refused(compare):
    def give_to_the_wrong_users(lists):
        users = lists["user_id"].unique()
        return lists.assign(user_id=lists["user_id"].map(dict(zip(users, [*users[1:], users[0]], strict=True))))

    decision = compare(give_to_the_wrong_users)
    assert decision["decision"] == "refused"
    assert decision["reasons"][0].startswith("fails: mixed NDCG: lower bound of the difference -")
    assert decision["reasons"][-1] == "champion: version 1, measured under the same split"


def test_under_another_split_the_champions_recipe_is_fitted_anew(compare):
    assert (
        compare(split_hash="another")["reasons"][-1]
        == "champion: recipe of version 1 refitted with its own encoder, which may have been tuned on these rows"
    )
    refused = compare(split_hash="another", model="hybrid_frozen")
    assert refused["decision"] == "refused"
    assert "was fitted under another split, so as it is it cannot be compared" in refused["reasons"][0]
    assert compare(evaluated_fit_on="train_and_validation")["reasons"][-1].startswith("champion: recipe of version 1 ")


def test_a_champion_that_cannot_be_loaded_stays_and_the_reason_says_how_to_move_the_alias(
    compare, finished, monkeypatch, tmp_path
):
    """A plug-in that its package names is nowhere, as where a source was taken out of the project."""
    from tailor.registry import promote
    from tailor.serving.package import write_manifest
    from tailor.serving.recommender import Recommender

    folder = shutil.copytree(next(finished.project.rglob("recommender/manifest.json")).parent, tmp_path / "package")
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps(about | {"plugins": ["no_such_shop"]}))
    write_manifest(folder)
    load, loaded = promote.load_version, []

    def load_version(name, version):
        loaded.append(version)
        return load(name, version) if len(loaded) == 1 else Recommender.load(folder)

    monkeypatch.setattr(promote, "load_version", load_version)
    decision = compare()
    assert decision["decision"] == "refused"
    (reason,) = decision["reasons"]
    assert reason.startswith("the champion (version 1) cannot be loaded here (The package, written by Tailor")
    assert "no module 'no_such_shop'" in reason
    assert "the alias stays where it is" in reason
    assert "set_registered_model_alias('tailor-test', 'champion', version=...)" in reason


@pytest.fixture(scope="module")
def server(finished):
    """``mlflow models serve`` on loopback, stopped afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(BIN / "mlflow"), "models", "serve", "-m", "models:/tailor-test@champion", "--env-manager", "local"]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)],
        env=environment() | {"MLFLOW_TRACKING_URI": finished.tracking_uri},
        cwd=finished.project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2)
                break
            except OSError:
                assert process.poll() is None, "the server stopped"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_http_answers_like_the_process(server, finished, known):
    rows = {"user_id": [known, None, None], "history": [None, ["i1", "i5"], []]}
    records = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    status, body = post(server, {"dataframe_records": records, "params": {"k": 5}})
    assert status == 200, body
    expected = answers(ask_fresh(finished, rows, {"k": 5}))
    assert [row["item_ids"] for row in body["predictions"]] == [row["item_ids"] for row in expected]
    assert [row["path"] for row in body["predictions"]] == ["known_user", "fold_in", "popular"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"dataframe_split": {"columns": ["history"], "data": [[["i1", None]]]}}, "fold_in"),
        ({"dataframe_split": {"columns": ["user_id", "history"], "data": [[7, None]]}}, "popular"),
        ({"dataframe_records": [{"user_id": None, "history": ["i1"]}]}, "fold_in"),
        ({"dataframe_records": [{"history": ["i1"]}, {"user_id": "u3"}]}, "fold_in"),
        ({"dataframe_records": [{"user_id": 12}]}, "popular"),
        ({"inputs": [{"history": ["i1"]}]}, "fold_in"),
        ({"inputs": {"history": ["i1"]}}, "fold_in"),
        ({"instances": [{"history": ["i1"]}, {"history": ["i2"]}]}, "fold_in"),
    ],
)
def test_http_takes_partial_rows(server, body, path):
    status, answer = post(server, body)
    assert status == 200, answer
    assert answer["predictions"][0]["path"] == path


def test_http_takes_candidates_exclusions_and_boosts(server, known):
    asked = {"user_id": known, "candidates": ["i1", "i2", "i3", "i4", "ghost"], "exclude": ["i2"]}
    params = {"k": 5, "exclude_seen": False, "tail_boost": 0.0, "cold_boost": 0.5}
    status, body = post(server, {"dataframe_records": [asked], "params": params})
    assert status == 200, body
    answer = body["predictions"][0]
    assert sorted(answer["item_ids"]) == ["i1", "i3", "i4"]
    assert answer["unknown_candidates"] == 1
    cut = params | {"min_score": answer["scores"][1]}
    assert (
        post(server, {"dataframe_records": [asked], "params": cut})[1]["predictions"][0]["item_ids"]
        == (answer["item_ids"][:2])
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"dataframe_records": [{"usr_id": "u1"}]}, "Unknown column 'usr_id'"),
        ({"dataframe_records": [{"user_id": "u1"}], "params": {"kk": 3}}, "Unknown param 'kk'"),
        ({"dataframe_split": {"columns": ["histroy"], "data": [[["i1"]]]}}, "Unknown column 'histroy'"),
        ({"inputs": {"histroy": ["i1"]}}, "Unknown column 'histroy'"),
    ],
)
def test_http_refuses_by_name(server, body, words):
    status, answer = post(server, body)
    assert status >= 400
    assert words in str(answer)


def test_new_interactions_and_events_join_the_champion(finished, monkeypatch, tmp_path):
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=finished.tracking_uri, registry_uri=finished.tracking_uri)
    before = str(client.get_registered_model("tailor-test").aliases["champion"])
    items = pd.read_parquet(finished.data / "03_primary/items.parquet")["item_id"]
    rows = pd.DataFrame({"user_id": ["u1", "u1", "new here", "u2", None], "item_id": [*items[:3], "ghost", "i1"]})
    rows["timestamp"] = 2e9
    (finished.data / "01_raw").mkdir(exist_ok=True)
    rows.to_csv(finished.data / "01_raw/new_interactions.csv", index=False)
    run_here(finished.project, monkeypatch, pipeline_names=["update"])
    updated = json.loads((finished.data / "06_models/registered_update.json").read_text())
    assert updated["interactions"] == 3
    assert updated["users that are new"] == 1
    assert updated["alias"] == "champion"
    assert str(client.get_registered_model("tailor-test").aliases["champion"]) == updated["version"] != before
    assert client.get_model_version("tailor-test", updated["version"]).tags["fit_on"] == "update"
    dropped = pd.read_parquet(finished.data / "08_reporting/update_quality.parquet").set_index("problem")["rows"]
    assert dropped.to_dict() == {"missing user_id": 1, "item_id not in the items table": 1}
    drift = pd.read_parquet(finished.data / "08_reporting/drift.parquet")
    assert set(drift["interpretation"]) <= {"stable", "moved", "shifted"}
    (answer,) = answers(ask_fresh(finished, {"user_id": ["new here"]}, {"k": 240}))
    assert answer["path"] == "known_user"
    assert items[2] not in answer["item_ids"]
    # Events since then, without a table; what was read once is not read again.
    (finished.data / "01_raw/new_interactions.csv").unlink()
    with pytest.raises(BadInputError, match="There is nothing to take in"):
        run_here(finished.project, monkeypatch, pipeline_names=["update"])
    monkeypatch.setenv("TAILOR_STATE_URL", f"sqlite:///{tmp_path}/state.db")
    log = EventStore.open(f"sqlite:///{tmp_path}/state.db", "tailor-test")
    bought = [{"kind": "buy", "user_id": "newer", "item_id": items[k]} for k in range(3)]
    log.append([*bought, {"kind": "view", "user_id": "newer", "item_id": items[3]}])
    run_here(finished.project, monkeypatch, pipeline_names=["update"])
    updated = json.loads((finished.data / "06_models/registered_update.json").read_text())
    assert (updated["interactions"], updated["users that are new"]) == (3, 1)
    assert client.get_model_version("tailor-test", updated["version"]).tags["events_until"] == "4"
    assert json.loads((finished.data / "06_models/events_read.json").read_text())["since"] == 0
    with pytest.raises(BadInputError, match="There is nothing to take in"):
        run_here(finished.project, monkeypatch, pipeline_names=["update"])
    log.append([{"kind": "like", "user_id": "newer", "item_id": items[3]}])
    run_here(
        finished.project, monkeypatch, params={"update": {"max_psi": {"scores": 1e-12}}}, pipeline_names=["update"]
    )
    assert json.loads((finished.data / "06_models/events_read.json").read_text())["since"] == 4
    aliases = client.get_registered_model("tailor-test").aliases
    assert str(aliases["champion"]) == updated["version"]
    assert int(aliases["challenger"]) > int(updated["version"])
    refused = client.get_model_version("tailor-test", aliases["challenger"]).tags
    assert "fails: scores: PSI" in refused["reasons"]
    (run,) = client.search_runs([client.get_experiment_by_name("tailor-test").experiment_id], max_results=1)
    assert run.data.tags["decision"] == "refused"
    assert {"drift.scores", "new_rows.n_users", "forgotten.difference"} <= set(run.data.metrics)
    for _ in range(2):
        run_here(finished.project, monkeypatch, pipeline_names=["rollback"])
    assert str(client.get_registered_model("tailor-test").aliases["champion"]) == before
