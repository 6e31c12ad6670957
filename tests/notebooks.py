"""The notebooks, executed in a copy of the project: ``python -m tests.notebooks`` (`make notebooks`).

They read what ``kedro run --env=test`` left, a fabricated catalogue, and so do the outputs that are stored in git. What
they write (a source of one's own, versions of the model) stays in the copy. With ``--write`` the run is made anew, and
the outputs are stored in notebooks/, after all of them went through.
"""

import argparse
import copy
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat import NotebookNode

from tailor.errors import BadInputError, TailorError
from tailor.files import write_aside
from tailor.registry.relocate import relocate
from tests.conftest import PATIENCE_S, ROOT, environment, kedro, make_project

FOLDER = ROOT / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
DATA = Path("data/test")
#: What the last pipelines of a run write.
_LAST = ("mlflow.db", "08_reporting/report.html", "07_model_output/batch_recommendations.parquet")
#: A tag of cells whose output is not stored: what Kedro says as it starts.
QUIET = "quiet"
_REMEDY = "If data/test is of other code or of another folder: make run ENV=test, then make notebooks."
#: How what rich displays begins.
_RICH = '<pre style="white-space:pre'
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: Of an output: paths, ids of runs, addresses in memory, times.
UNSTABLE = re.compile(
    r"(?:file:/|(?<![\w.])/)(?:tmp|home|root|work|usr|var|Users)/|\b[0-9a-f]{32,}\b|\b0x[0-9a-f]{8,}\b"
    r"|\b\d\d:\d\d:\d\d\b"
)


def is_finished(data: Path) -> bool:
    """Say whether a data folder holds what all pipelines of a run write."""
    return all((data / name).is_file() for name in _LAST)


def make_copy(folder: Path, data: Path, written_in: Path) -> Path:
    """Lay out a copy of the project with the data of a finished run; its MLflow store names the copy's artifacts.

    Args:
        folder: of the copy; it must not exist.
        data: the data folder of the run.
        written_in: where that folder was when the run wrote it.
    """
    project = make_project(folder)
    shutil.copytree(data, project / DATA)
    relocate(project / DATA / "mlflow.db", written_in, project / DATA)
    return project


def execute(project: Path, name: str) -> NotebookNode:
    """Execute a notebook of the copy, and return it with its outputs, :func:`cleaned`.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(project / "notebooks" / name, as_version=4)
    settings = {
        "KEDRO_ENV": "test",
        "PLOTLY_RENDERER": "plotly_mimetype",  # figures as data: the page that shows them brings Plotly
        "PYTHONPATH": str(project / "src"),
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "IPYTHONDIR": str(project / ".ipython"),
    }
    resources = {"metadata": {"path": str(project / "notebooks")}}
    client = NotebookClient(notebook, timeout=PATIENCE_S, resources=resources, record_timing=False)
    client.execute(env=environment() | settings)
    return cleaned(notebook)


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Return a notebook whose outputs are the same after every execution: no logs, no times, no state of widgets."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        quiet = QUIET in cell.metadata.get("tags", [])
        cell.metadata = nbformat.from_dict({"tags": [QUIET]} if quiet else {})
        if cell.cell_type == "code":
            cell.outputs = [] if quiet else [plain(one) for one in cell.outputs if says_something(one)]
    return notebook


def says_something(output: NotebookNode) -> bool:
    """Say whether an output is no log: not on stderr, and not displayed by rich, as an empty text before tables is."""
    return output.get("name") != "stderr" and not output.get("data", {}).get("text/html", "").startswith(_RICH)


def plain(output: NotebookNode) -> NotebookNode:
    """Return an output without the colours of a terminal, which rich writes into texts."""
    output = copy.deepcopy(output)
    if "text" in output:
        output.text = _COLOUR.sub("", output.text)
    if "text/plain" in output.get("data", {}):
        output.data["text/plain"] = _COLOUR.sub("", output.data["text/plain"])
    return output


def unstable(notebook: NotebookNode) -> list[str]:
    """Return what outputs hold that another execution, or another machine, would write otherwise."""
    outputs = (json.dumps(cell.get("outputs", [])) for cell in notebook.cells)
    return [match for text in outputs for match in UNSTABLE.findall(text)]


def store(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook aside, and rename it."""
    with write_aside(path) as aside:
        nbformat.write(notebook, str(aside))


def _prepare(folder: Path, *, fresh: bool) -> Path:
    """Lay out the copy, with the project's own finished run; where there is none, or ``fresh``, with a new one.

    Raises:
        BadInputError: the new run failed, with what it said at last; or the project's MLflow store was moved.
    """
    if not fresh and is_finished(ROOT / DATA):
        return make_copy(folder / "project", ROOT / DATA, ROOT / DATA)
    print("kedro run --env=test ...", flush=True)
    project = make_project(folder / "project")
    alone = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(project / "src")}
    done = kedro(project, "run", "--env=test", check=False, **alone)
    if done.returncode:
        raise BadInputError(f"kedro run --env=test failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return project


def _execute_all(project: Path) -> dict[str, NotebookNode]:
    """Execute all notebooks, in order, and say of each how long it took and whether its outputs are as stored."""
    executed = {}
    for name in NAMES:
        start = time.monotonic()
        executed[name] = execute(project, name)
        stored = nbformat.read(FOLDER / name, as_version=4)
        same = [cell.get("outputs") for cell in stored.cells] == [cell.get("outputs") for cell in executed[name].cells]
        print(f"{name}: {time.monotonic() - start:.0f} s, outputs {'' if same else 'not '}as stored", flush=True)
    return executed


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, execute, store on request; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.notebooks", description=__doc__)
    parser.add_argument("--write", action="store_true", help="run anew, and store the outputs in notebooks/")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="notebooks-") as folder:
        try:
            executed = _execute_all(_prepare(Path(folder), fresh=args.write))
        except (CellExecutionError, CellTimeoutError) as failure:
            print(f"A notebook failed:\n{failure}\n{_REMEDY}", file=sys.stderr)
            return 1
        except TailorError as problem:
            print(f"{problem}\n{_REMEDY}", file=sys.stderr)
            return 1
    left = {name: found for name, notebook in executed.items() if (found := unstable(notebook))}
    if left:
        print(f"Outputs that another execution writes otherwise: {left}", file=sys.stderr)
        return 1
    for name, notebook in executed.items() if args.write else ():
        store(notebook, FOLDER / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
