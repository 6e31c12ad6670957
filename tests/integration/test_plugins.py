"""A source, a metric and a re-ranker of one's own, in the whole DAG and where the model is served.

The plug-ins are the examples of CONTRIBUTING.md, word for word: no file of ``src/tailor`` knows them.
"""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest
from omegaconf import OmegaConf
from safetensors import safe_open

from tests.conftest import ROOT, FinishedRun, environment, kedro, make_project

pytestmark = pytest.mark.slow

PLUGINS = ("myshop.sources", "myshop.metrics", "myshop.rerankers")
SOURCE, METRIC, RERANKER = "surging", "rare_share", "rare_first"
#: What a user adds to the environment's parameters.
PARAMETERS = {
    "plugins": list(PLUGINS),
    "hybrid_cf": {"sources": {SOURCE: {"smoothing": 5.0}}},
    "evaluation": {
        "frontier": {"methods": ["mmr", RERANKER]},
        "scenarios": {"explore": {"rerank": {"method": RERANKER, "strength": 0.3}}},
    },
}


def examples() -> dict[str, str]:
    """The Python blocks of CONTRIBUTING.md whose first line is a comment with their path."""
    blocks = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) == len(dict(blocks)) >= 4
    return dict(blocks)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A whole run of the fabricated catalogue with the plug-ins."""
    project = make_project(tmp_path_factory.mktemp("plugins"))
    for path, text in examples().items():
        if path.startswith("myshop/"):
            (project / "src" / path).parent.mkdir(exist_ok=True)
            (project / "src" / path).write_text(text)
    (project / "src/myshop/__init__.py").touch()
    parameters = project / "conf/test/parameters.yml"
    merged = OmegaConf.merge(OmegaConf.load(parameters), PARAMETERS)
    parameters.write_text(OmegaConf.to_yaml(merged))
    done = kedro(project, "run", "--env=test")
    return FinishedRun(project, done.stdout + done.stderr)


def test_no_file_of_the_project_knows_them():
    for path in (ROOT / "src").rglob("*"):
        if path.suffix in (".py", ".html", ".j2"):
            text = path.read_text()
            assert not [name for name in (*PLUGINS, SOURCE, METRIC, RERANKER) if name in text], path


def test_the_source_has_a_weight_of_its_name(run):
    for model in ("hybrid_frozen", "hybrid_lora"):
        with safe_open(run.data / f"06_models/{model}_model.safetensors", framework="numpy") as file:
            keys = set(file.keys())
            recipe = json.loads(file.metadata()["models"])["hybrid"]
        assert f"hybrid/blend/base/{SOURCE}" in keys
        assert f"hybrid/sources/{SOURCE}/trend" in keys
        assert recipe["config"]["sources"][SOURCE] == {"smoothing": 5.0}


def test_the_metric_is_in_the_metrics_the_summary_and_the_comparisons(run):
    metrics = pd.read_parquet(run.data / "08_reporting/metrics.parquet")
    of_metric = metrics[metrics["metric"] == METRIC]
    assert set(of_metric["split"]) == {"validation", "test"}
    assert of_metric["value"].dropna().between(0, 1).all()
    assert of_metric["value"].max() > 0
    assert METRIC in pd.read_parquet(run.data / "08_reporting/summary.parquet")
    comparisons = pd.read_parquet(run.data / "08_reporting/comparisons.parquet")
    assert METRIC in set(comparisons["headline"])
    assert METRIC in run.output  # printed after the run


def test_the_frontier_traces_the_re_ranker(run):
    frontier = pd.read_parquet(run.data / "08_reporting/frontier.parquet")
    traced = frontier[frontier["method"] == RERANKER]
    assert traced["strength"].nunique() >= 5


#: A process that has the package tailor and nothing of the project; ``-P``: not even its folder.
FRESH = """
import importlib.util, json, sys
import pandas as pd
assert importlib.util.find_spec("myshop") is None
rows = pd.DataFrame({"history": [["i1", "i5", "i9"]]})
rerank = {"method": "rare_first", "strength": 0.6}
if sys.argv[1] == "mlflow":
    import mlflow
    model = mlflow.pyfunc.load_model("models:/tailor-test@champion")
    def ask(**params):
        answer = model.predict(rows, params=params)
        return answer.item_ids[0], [json.loads(entry) for entry in answer.explanations[0]]
else:
    import tailor
    model = tailor.load("models:/tailor-test@champion" if sys.argv[1] == "registry" else sys.argv[1])
    def ask(**params):
        answer = model.recommend([tailor.Request(history=rows.history[0])], tailor.Settings(**params))[0]
        return answer.item_ids, answer.explanations
plain, explanations = ask(k=20, explain=True)
answers = {"plain": plain, "sources": [entry["sources"] for entry in explanations]}
answers["reranked"] = ask(k=20, rerank=rerank)[0]
answers["explore"] = ask(k=20, scenario="explore")[0]
print("ANSWER" + json.dumps(answers))
"""


def ask_fresh(run, tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH, how],
        env=environment() | {"MLFLOW_TRACKING_URI": run.tracking_uri, "PYTHONPATH": str(ROOT / "src")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("ANSWER")[1])


def package_of(run):
    (package,) = {path.parent for path in run.project.rglob("recommender/manifest.json")}
    return package


@pytest.mark.parametrize("how", ["mlflow", "registry", "folder"])
def test_a_fresh_process_serves_and_explains_with_them(run, tmp_path, how):
    """Through MLflow, from the registry, and from the package alone; twice, since importing leaves caches."""
    where = str(package_of(run)) if how == "folder" else how
    answers = ask_fresh(run, tmp_path, where)
    assert len(answers["plain"]) == 20
    assert all(SOURCE in sources for sources in answers["sources"])
    assert answers["reranked"] != answers["plain"]
    assert len(set(answers["explore"])) == 20
    assert ask_fresh(run, tmp_path, where) == answers


def test_the_re_ranker_lists_rarer_items_where_it_is_served(run, tmp_path):
    answers = ask_fresh(run, tmp_path, "registry")
    items = pd.read_parquet(run.data / "03_primary/items.parquet").set_index("item_id")["n_train"]
    assert items[answers["reranked"]].mean() < items[answers["plain"]].mean()


def test_the_package_carries_the_plug_ins_and_their_hashes(run):
    package = package_of(run)
    hashes = json.loads((package / "manifest.json").read_text())["files"]
    assert {f"plugins/myshop/{name}.py" for name in ("__init__", "sources", "rerankers")} <= set(hashes)
    assert json.loads((package / "about.json").read_text())["plugins"] == list(PLUGINS)


def test_the_form_of_the_page_offers_the_re_ranker(run, tmp_path):
    program = (
        f"import tailor, json; tailor.load({str(package_of(run))!r}); from tailor.serving.faces import form;"
        "print([f for f in form() if f['name'] == 'rerank'][0]['inputs'][0]['options'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env=environment() | {"PYTHONPATH": str(ROOT / "src")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"'{RERANKER}'" in done.stdout, done.stderr
    assert os.linesep in done.stdout


def test_the_tests_of_the_examples_pass(run, tmp_path):
    """What CONTRIBUTING.md says about testing one's own parts."""
    (test,) = [text for path, text in examples().items() if path.startswith("tests/")]
    (tmp_path / "test_myshop.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "test_myshop.py")],
        env=environment() | {"PYTHONPATH": os.pathsep.join([str(run.project / "src"), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout
