"""Work in several processes: in order, not far ahead, and over when the one that started them is."""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from tailor.errors import BadInputError
from tailor.processes import ProcessEndedError, in_processes


def work(task: int, refused: int = -1, ends: int = -1) -> tuple[int, int]:
    """Return the task and the process; the first takes longest."""
    if task == refused:
        raise BadInputError(f"part {task}: a column is missing")
    if task == ends:
        os._exit(9)
    time.sleep(0.3 if task == 0 else 0)
    return task, os.getpid()


def test_results_come_in_order_from_other_processes():
    done = list(in_processes(work, range(9), 2, "inference.workers"))
    assert [task for task, _ in done] == list(range(9))
    assert os.getpid() not in {process for _, process in done}
    assert len({process for _, process in done}) <= 2


def test_tasks_are_handed_out_as_results_are_taken():
    taken = []

    class Tasks(list):
        def __iter__(self):
            for task in range(20):
                taken.append(task)
                yield task

    results = in_processes(work, Tasks(range(20)), 2, "inference.workers")
    next(results)
    assert len(taken) <= 2 * 2 + 1
    results.close()
    assert len(taken) < 20


def test_what_goes_wrong_in_a_process_is_raised_here():
    with pytest.raises(BadInputError, match=r"^part 1: a column is missing$"):
        list(in_processes(partial(work, refused=1), range(3), 2, "inference.workers"))


def test_a_process_that_the_system_ends_is_one_sentence_that_names_the_option():
    with pytest.raises(ProcessEndedError, match=r"^A process of inference\.workers = 3 ended .* lower inference"):
        list(in_processes(partial(work, ends=1), range(2), 3, "inference.workers"))


PARENT = """
import sys
import psutil
from tailor.processes import in_processes
from tests.unit.test_processes import work

results = in_processes(work, range(1000), 2, "inference.workers")
next(results)
print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
sys.stdin.read()
"""


def test_processes_end_with_the_one_that_started_them_and_have_its_code(tmp_path):
    """Another Tailor, as MLflow puts it before all else, is not theirs; the script, which has no guard, runs once."""
    other = tmp_path / "code/tailor"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('the code of another version')")
    script = tmp_path / "parent.py"
    script.write_text(
        PARENT.replace("import psutil\n", f"import psutil, tailor\nsys.path.insert(0, {str(other.parent)!r})\n", 1)
    )
    paths = os.pathsep.join([str(Path.cwd()), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": paths},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    children = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
    assert len(children) >= 2
    parent.kill()
    parent.wait()
    assert psutil.wait_procs(children, timeout=20)[1] == []
