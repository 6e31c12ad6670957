"""How `make test` shares its tests among processes."""

import subprocess
import sys

from tests.conftest import ROOT, process_group


def test_what_looks_at_the_finished_run_shares_a_process_and_other_files_are_each_one():
    runs = ("test_dag.py", "test_registry.py", "test_without_a_person.py")
    assert {process_group(f"tests/integration/{name}") for name in runs} == {"finished run"}
    assert process_group("tests/unit/test_words.py") == "tests/unit/test_words.py"


def test_a_file_runs_in_one_process():
    """Two processes take whole files: their tests may change what a later one of the same file looks at."""
    files = ["tests/unit/test_linear_algebra.py", "tests/unit/test_topk.py"]
    command = [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "--numprocesses=2", "--dist=loadfile"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=True)
    ran = {
        (line.split()[0], line.split("PASSED ")[1].split("::")[0]) for line in done.stdout.split("\n") if "[gw" in line
    }
    assert sorted(name for _, name in ran) == files
