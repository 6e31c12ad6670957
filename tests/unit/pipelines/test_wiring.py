"""How the project is wired: names, boxes, tags, and who imports whom."""

import ast
from pathlib import Path

import pytest
from kedro.framework.project import configure_project, pipelines

from tailor.pipeline_registry import ON_REQUEST

SOURCE = Path(__file__).resolve().parents[3] / "src" / "tailor" / "pipelines"
NAMES = sorted(folder.name for folder in SOURCE.iterdir() if (folder / "pipeline.py").is_file())
#: Top-level boxes of ``kedro run``, those that the data flow through first come first.
BOXES = ["data_processing", "feature_engineering", "lm_finetuning", "hybrid_cf", "evaluation", "reranking"]
BOXES += ["registration", "promotion", "reporting", "inference"]
TAGS = {"cpu", "gpu", "publish", "report"}


@pytest.fixture(scope="module")
def project():
    configure_project("tailor")
    return dict(pipelines)


def test_every_folder_is_a_pipeline(project):
    assert sorted(project) == sorted([*NAMES, "__default__"])
    assert {"data_processing", "feature_engineering", "lm_finetuning", "hybrid_cf", "evaluation"} <= set(project)


def test_nodes_have_the_same_names_alone_and_in_the_default_run(project):
    default = {node.name for node in project["__default__"].nodes}
    alone = {name: {node.name for node in project[name].nodes} for name in NAMES}
    assert default == set().union(*(alone[name] for name in NAMES if name not in ON_REQUEST))
    for name, nodes in alone.items():
        assert all(node.startswith(f"{name}.") for node in nodes), nodes


def test_the_default_run_is_ten_boxes_in_the_order_of_the_data(project):
    nodes = project["__default__"].nodes
    assert all(node.namespace for node in nodes), "nodes outside every box"
    assert {node.namespace.partition(".")[0] for node in nodes} == set(BOXES)
    made: set[str] = set()
    for name in BOXES:
        pipeline = project[name]
        later = pipeline.inputs() & project["__default__"].all_outputs() - made
        assert not later, f"{name} reads {later}, which a later box makes"
        made |= pipeline.all_outputs()


def test_names_of_shared_datasets_have_no_box_in_them(project):
    """A dotted name is private: only its own pipeline reads it, and it stays in memory."""
    default = project["__default__"]
    dotted = {name for name in default.datasets() if "." in name and not name.startswith("params:")}
    assert "registration.recommender" in dotted
    for node in default.nodes:
        for name in dotted & {*node.inputs, *node.outputs}:
            assert node.name.startswith(f"{name.partition('.')[0]}."), (node.name, name)


def test_every_node_says_what_it_needs(project):
    for name, pipeline in project.items():
        for node in pipeline.nodes:
            assert node.tags, f"{node.name} has no tag"
            assert node.tags <= TAGS, (name, node.name, node.tags)
            assert len(node.tags & {"cpu", "gpu"}) == 1, (node.name, node.tags)


def test_only_nodes_that_say_so_write_to_mlflow(project):
    published = {node.name for pipeline in project.values() for node in pipeline.nodes if "publish" in node.tags}
    expected = {"registration.track", "registration.register", "promotion.move_alias", "reporting.write_report"}
    expected |= {"data_processing.write_data_card", "registration.describe_version"}
    assert published == expected | {
        "rollback.roll_back",
        "update.register_update",
        "forget.register_forgotten",
        "forget.list_holders",
    }


@pytest.mark.parametrize("name", NAMES)
def test_no_pipeline_imports_another(name):
    others = {f"tailor.pipelines.{other}" for other in NAMES if other != name}
    for path in (SOURCE / name).glob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in statement.names] if isinstance(statement, ast.Import) else []
            if isinstance(statement, ast.ImportFrom):
                modules = [str(statement.module), *(f"{statement.module}.{alias.name}" for alias in statement.names)]
            found = [m for m in modules if any(m == other or m.startswith(f"{other}.") for other in others)]
            assert not found, f"{path.name} imports {found}"


@pytest.mark.parametrize("name", NAMES)
def test_nodes_are_wired_by_keyword(name):
    tree = ast.parse((SOURCE / name / "pipeline.py").read_text())
    calls = [c for c in ast.walk(tree) if isinstance(c, ast.Call) and getattr(c.func, "id", "") == "Node"]
    assert calls
    for call in calls:
        assert not call.args, f"line {call.lineno}: Node(...) takes keywords"
        assert {keyword.arg for keyword in call.keywords} == {"func", "inputs", "outputs", "name", "tags"}
        inputs = next(keyword.value for keyword in call.keywords if keyword.arg == "inputs")
        assert not (isinstance(inputs, ast.List) and len(inputs.elts) > 3), f"line {call.lineno}: name the inputs"
