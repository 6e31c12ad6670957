"""The notebooks in git: executed, small, the same everywhere; and the code of the tutorial in them."""

import copy
import re

import nbformat
import pytest

from tailor.errors import BadInputError
from tests import notebooks
from tests.conftest import ROOT
from tests.documentation import blocks
from tests.notebooks import FOLDER, NAMES, QUIET, cleaned, is_finished, store, unstable

MOST_BYTES = 300_000


@pytest.fixture(params=NAMES)
def notebook(request):
    return nbformat.read(FOLDER / request.param, as_version=4)


def notebook_of(*outputs, tags=(), **metadata):
    cell = nbformat.v4.new_code_cell("1", id="a", outputs=list(outputs), metadata={"tags": list(tags)} | metadata)
    return nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})


def test_there_are_five_and_the_page_lists_them():
    page = (ROOT / "docs/tutorials/notebooks.md").read_text()
    assert re.findall(r"\]\(\.\./\.\./notebooks/([\w-]+\.ipynb)\)", page) == NAMES
    assert len(NAMES) == 5


def test_every_cell_was_executed_in_order(notebook):
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_what_is_stored_is_valid_and_as_it_is_cleaned(notebook):
    nbformat.validate(notebook)
    assert cleaned(notebook) == notebook
    assert not unstable(notebook)


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_is_small(name):
    assert (FOLDER / name).stat().st_size < MOST_BYTES


def test_links_of_notebooks_lead_somewhere(notebook):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text)]
    assert links
    assert not [link for link in links if not (FOLDER / link).exists()]


def test_every_notebook_says_what_one_learns_and_begins_with_a_title(notebook):
    first = notebook.cells[0].source
    assert first.startswith("# ")
    assert "What you will learn:" in first


def test_the_source_is_that_of_the_tutorial():
    page = blocks((ROOT / "docs/tutorials/own-source.md").read_text())
    files = {block.path: block.text for block in page if block.kind == "file"}
    cells = [cell.source for cell in nbformat.read(FOLDER / "04-own-source.ipynb", as_version=4).cells]
    assert len(files) == 3
    for path, text in files.items():
        assert f"%%writefile {path}\n{text.rstrip()}" in cells, path


def test_no_log_no_colour_and_no_output_of_a_quiet_cell_is_stored():
    said = nbformat.v4.new_output("stream", name="stdout", text="\x1b[32mgreen\x1b[0m\n")
    logged = nbformat.v4.new_output("stream", name="stderr", text="12:00 INFO")
    empty = nbformat.v4.new_output(
        "display_data", {"text/plain": "", "text/html": '<pre style="white-space:pre;overflow-x:auto"></pre>'}
    )
    table = nbformat.v4.new_output("execute_result", {"text/plain": "\x1b[1;36m1\x1b[0m", "text/html": "<b>1</b>"})
    figure = nbformat.v4.new_output("display_data", {"application/vnd.plotly.v1+json": {"data": []}})
    outputs = (said, logged, empty, table, figure)
    before = notebook_of(*outputs, execution={"iopub.execute_input": "12:00"})
    unchanged = copy.deepcopy(before)
    (cell,) = cleaned(before).cells
    assert before == unchanged
    assert [one.output_type for one in cell.outputs] == ["stream", "execute_result", "display_data"]
    assert cell.outputs[0].text == "green\n"
    assert cell.outputs[1].data == {"text/plain": "1", "text/html": "<b>1</b>"}
    assert cell.metadata == {}
    (cell,) = cleaned(notebook_of(said, tags=[QUIET])).cells
    assert (cell.outputs, cell.metadata) == ([], {"tags": [QUIET]})


@pytest.mark.parametrize(
    "text",
    [
        "saved in /tmp/notebooks-x/project/data",
        "file:///home/anna/tailor/mlruns",
        "models:/m-ea355d099fad4da5b5609a6f0a014cc2",
        "commit e298840f6f13310d8761c05c0d07a4b0997f8ad5",
        "<object at 0x7f1200c0ffee>",
        "INFO 00:12:07 done",
    ],
)
def test_what_the_next_execution_would_write_otherwise_is_seen(text):
    assert unstable(notebook_of(nbformat.v4.new_output("stream", name="stdout", text=text)))


def test_figures_and_relative_paths_are_stable():
    said = nbformat.v4.new_output("stream", name="stdout", text="0.3312 of data/test/08_reporting, 2001-09-09, i12/i13")
    assert unstable(notebook_of(said)) == []


def test_a_run_that_was_interrupted_is_not_finished(tmp_path):
    for name in ("mlflow.db", "08_reporting/report.html", "07_model_output/batch_recommendations.parquet"):
        assert not is_finished(tmp_path)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert is_finished(tmp_path)


def test_a_notebook_is_stored_as_it_is_read(tmp_path):
    notebook = cleaned(notebook_of(nbformat.v4.new_output("stream", name="stdout", text="a\nb\n")))
    store(notebook, tmp_path / "a.ipynb")
    assert nbformat.read(tmp_path / "a.ipynb", as_version=4) == notebook
    assert [path.name for path in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A project of two notebooks, and what is stored of them; returns a function that writes the second one's cell."""
    for folder in (tmp_path / "project/notebooks", tmp_path / "stored"):
        folder.mkdir(parents=True)
        for name in ("a.ipynb", "b.ipynb"):
            nbformat.write(
                nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)", id="a")]), folder / name
            )
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "stored")
    monkeypatch.setattr(notebooks, "NAMES", ["a.ipynb", "b.ipynb"])
    monkeypatch.setattr(notebooks, "_prepare", lambda folder, fresh: tmp_path / "project")

    def second(source):
        cells = [nbformat.v4.new_code_cell(source, id="a")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "project/notebooks/b.ipynb")

    return second


def outputs_of(folder):
    read = [nbformat.read(path, as_version=4) for path in sorted(folder.glob("*.ipynb"))]
    return ["".join(one.text for cell in notebook.cells for one in cell.outputs) for notebook in read]


def test_outputs_are_stored_on_request_alone_and_compared_with_what_is_stored(two, tmp_path, capsys):
    assert notebooks.main(["--write"]) == 0
    assert outputs_of(tmp_path / "stored") == ["42\n", "42\n"]
    two("print(43)")
    assert notebooks.main([]) == 0
    assert outputs_of(tmp_path / "stored") == ["42\n", "42\n"]
    said = re.findall(r"([ab])\.ipynb: \d+ s, outputs (not )?as stored", capsys.readouterr().out)
    assert said == [("a", "not "), ("b", "not "), ("a", ""), ("b", "not ")]


def test_a_run_that_cannot_be_read_is_a_sentence(two, monkeypatch, capsys):
    def prepare(folder, fresh):
        raise BadInputError("mlflow.db: no location of artifacts is in /old.")

    monkeypatch.setattr(notebooks, "_prepare", prepare)
    assert notebooks.main([]) == 1
    assert capsys.readouterr().err.startswith(
        "mlflow.db: no location of artifacts is in /old.\nIf data/test is of other"
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("print(hex(id(0)))", "Outputs that another execution writes otherwise: {'b.ipynb'"),
    ],
)
def test_where_one_fails_or_is_unstable_none_is_stored(two, tmp_path, capsys, source, words):
    two(source)
    assert notebooks.main(["--write"]) == 1
    assert words in capsys.readouterr().err
    assert outputs_of(tmp_path / "stored") == ["", ""]
