"""Stale outputs of a small pipeline: what a change reaches runs again, and nothing else."""

import json

import pytest
from kedro.framework.hooks import hook_impl
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner
from kedro_datasets.json import JSONDataset

from tailor import staleness
from tailor.datasets import FingerprintsDataset
from tailor.errors import ConfigurationError
from tailor.staleness_hooks import StalenessHooks


def double(rows, factor):
    return [row * factor for row in rows]


def keep(rows):
    return rows


def pick(rows, k):
    return rows[:k]


def publish(rows):
    return {"rows": rows}


def read(record):
    return [len(record["rows"])]


NODES = Pipeline(
    [
        Node(func=keep, inputs="raw", outputs="clean", name="keep", tags="cpu"),
        Node(func=double, inputs=["clean", "params:factor"], outputs="model", name="double", tags="cpu"),
        Node(func=keep, inputs="model", outputs="p.private", name="pass_on", tags="cpu"),
        Node(func=pick, inputs=["p.private", "params:k"], outputs="lists", name="pick", tags="cpu"),
        Node(func=publish, inputs="lists", outputs="record", name="publish", tags=["cpu", "publish"]),
        Node(func=read, inputs="record", outputs="report", name="report", tags="cpu"),
    ]
)
FILES = ("raw", "clean", "model", "lists", "record", "report")


class Project:
    """A data folder, and its runs."""

    def __init__(self, folder):
        self.folder = folder
        self.runs = 0
        self.write("raw", [1, 2, 3])

    def write(self, name, data):
        (self.folder / f"{name}.json").write_text(json.dumps(data))

    def catalog(self, **params):
        values = {"factor": 2, "k": 2, "plugins": []} | params
        files = {name: JSONDataset(filepath=str(self.folder / f"{name}.json")) for name in FILES}
        memory = {"p.private": MemoryDataset(), "parameters": MemoryDataset(values)}
        return staleness.ResumableCatalog(
            files
            | memory
            | {f"params:{name}": MemoryDataset(value) for name, value in values.items()}
            | {"fingerprints": FingerprintsDataset(filepath=str(self.folder / "fingerprints.json"))}
        )

    def run(self, resume=True, pipeline=NODES, **params):
        """Run, and return which nodes ran."""
        self.runs += 1
        catalog, hooks, ran = self.catalog(**params), _create_hook_manager(), []

        class Ran:
            @hook_impl
            def after_node_run(self, node):
                ran.append(node.name)

        hooks.register(StalenessHooks())
        hooks.register(Ran())
        run = f"run {self.runs}"
        asked = {"run_id": run, "only_missing_outputs": resume}
        hooks.hook.before_pipeline_run(run_params=asked, pipeline=pipeline, catalog=catalog)
        SequentialRunner().run(pipeline, catalog, hooks, run_id=run, only_missing_outputs=resume)
        return ran

    def data(self, name):
        return json.loads((self.folder / f"{name}.json").read_text())

    def fingerprints(self):
        return json.loads((self.folder / "fingerprints.json").read_text())


def made_in(project, number, resume=True):
    asked = {"run_id": f"run {number}", "only_missing_outputs": resume}
    return staleness.made_in(asked, NODES, project.fingerprints())


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    assert made.run(resume=False) == ["keep", "double", "pass_on", "pick", "publish", "report"]
    return made


def test_where_nothing_changed_no_node_runs(project):
    assert project.run() == []
    assert made_in(project, 2) == set()
    assert made_in(project, 2, resume=False) == NODES.all_outputs()


def test_a_parameter_reaches_its_node_and_what_follows(project, capsys):
    assert project.run(factor=3) == ["double", "pass_on", "pick", "publish", "report"]
    assert project.data("report") == [2]
    assert project.data("lists") == [1 * 3, 2 * 3]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Stale")]
    assert lines == [
        "Stale, runs again: double (changed: params:factor)",
        "Stale, runs again: pick (changed: p.private)",
        "Stale, runs again: publish (changed: lists)",
        "Stale, runs again: report (changed: record)",
    ]


def test_a_parameter_near_the_end_runs_little(project):
    assert project.run(k=1) == ["pass_on", "pick", "publish", "report"]  # what is in memory is made again
    assert made_in(project, 2) == {"lists", "record", "report"}
    assert project.run(k=1) == []
    assert project.run(k=2) == ["pass_on", "pick", "publish", "report"]


def test_a_fingerprint_changes_with_what_reaches_its_node_only(project):
    before = {name: entry["identity"] for name, entry in project.fingerprints().items()}
    project.run(resume=False, k=1)
    after = {name: entry["identity"] for name, entry in project.fingerprints().items()}
    assert {name for name in before if before[name] != after[name]} == {"lists", "record", "report"}


def test_other_raw_data_make_everything_again_and_the_same_data_nothing(project):
    project.write("raw", [1, 2, 3])
    assert project.run() == []
    project.write("raw", [1, 2, 4])
    assert project.run() == ["keep", "double", "pass_on", "pick", "publish", "report"]


def test_other_code_makes_again_what_it_makes(project, monkeypatch):
    plain = staleness.function_hash
    monkeypatch.setattr(staleness, "function_hash", lambda func: plain(func) + ("new" if func is pick else ""))
    assert project.run() == ["pass_on", "pick", "publish", "report"]


def test_outputs_of_which_nothing_is_known_are_made_again(project, capsys):
    (project.folder / "fingerprints.json").unlink()
    assert len(project.run()) == 6
    assert "Stale, runs again: keep (it is not known what made its outputs)" in capsys.readouterr().out


def test_a_missing_output_is_made_again_without_what_follows(project):
    """The same inputs make the same again."""
    (project.folder / "model.json").unlink()
    assert project.run() == ["double"]
    assert project.run() == []


def test_after_a_node_that_publishes_again_what_follows_runs_again(project):
    (project.folder / "record.json").unlink()
    assert project.run() == ["publish", "report"]
    assert project.run() == []


def test_an_output_that_was_being_written_is_stale(project):
    known = project.fingerprints()
    known["lists"]["inputs"] = None
    (project.folder / "fingerprints.json").write_text(json.dumps(known))
    assert "pick" in project.run()


def test_a_run_that_dies_as_it_writes_leaves_no_fingerprint(project, monkeypatch):
    """The new file would pass for the old one."""
    plain = staleness.ResumableCatalog.save

    def dies(self, name, data):
        plain(self, name, data)
        if name == "model":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(staleness.ResumableCatalog, "save", dies)
        project.run(resume=False, factor=7)
    assert project.data("model") == [7, 14, 21]
    assert "double" in project.run()
    assert project.data("model") == [2, 4, 6]


def test_a_part_that_ran_with_other_parameters_is_known(project):
    only = NODES.only_nodes("double")
    assert project.run(resume=False, pipeline=only, factor=5) == ["double"]
    assert project.run(factor=2) == ["double"]  # the lists were made from a model of factor 2
    assert project.data("model") == [2, 4, 6]


def test_a_part_takes_over_what_its_inputs_were_made_of(project):
    project.run(resume=False, pipeline=NODES.only_nodes("double"), factor=5)
    after = NODES.only_nodes("pass_on", "pick", "publish", "report")
    assert project.run(pipeline=after, factor=5) == ["pass_on", "pick", "publish", "report"]
    assert project.run(factor=5) == []


def test_no_file_is_deleted_before_it_is_written(project, monkeypatch):
    """A stale output lies where it was until its node has run."""
    monkeypatch.setattr(SequentialRunner, "_run", lambda *args, **more: None)
    project.run(factor=3)
    assert project.data("model") == [2, 4, 6]


def test_swapped_inputs_are_another_node(project):
    catalog = project.catalog()
    one = Node(func=double, inputs=["clean", "model"], outputs="lists", name="x")
    other = Node(func=double, inputs=["model", "clean"], outputs="lists", name="x")
    hashes = [staleness.inputs_of(node, catalog, lambda name: name)["code"] for node in (one, other)]
    assert hashes[0] != hashes[1]


def test_another_catalog_cannot_be_resumed(project):
    catalog = DataCatalog({"fingerprints": FingerprintsDataset(filepath=str(project.folder / "f.json"))})
    asked = {"run_id": "r", "only_missing_outputs": True}
    with pytest.raises(ConfigurationError, match="--only-missing-outputs works with SequentialRunner"):
        StalenessHooks().before_pipeline_run(run_params=asked, pipeline=NODES, catalog=catalog)


def test_processes_that_know_nothing_of_a_run_leave_no_fingerprints(project):
    """Those of ParallelRunner, where they are started anew."""
    plain = project.catalog()
    catalog = DataCatalog({name: plain.get(name) for name in (*FILES, "p.private", "fingerprints")})
    asked = {"run_id": "parallel", "only_missing_outputs": False}
    StalenessHooks().before_pipeline_run(run_params=asked, pipeline=NODES.only_nodes("double", "pick"), catalog=catalog)
    assert {name for name, entry in project.fingerprints().items() if entry["inputs"] is None} == {"model", "lists"}
    assert {"double", "pick"} <= set(project.run())


def test_an_entry_of_another_type_is_named():
    with pytest.raises(
        ConfigurationError, match=r"entry .fingerprints. must be a tailor\.datasets\.FingerprintsDataset"
    ):
        staleness.file_of(staleness.ResumableCatalog({"fingerprints": MemoryDataset([])}))
