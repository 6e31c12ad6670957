"""A registered version is made again from its record, in a process of its own."""

import json
import subprocess
import sys

import pytest

from tests.conftest import environment

pytestmark = pytest.mark.slow


def reproduce(finished, *words):
    return subprocess.run(
        [sys.executable, "-m", "tailor", "reproduce", *words, "--env=test"],
        cwd=finished.project,
        env=environment() | {"COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )


def files(finished):
    """The files of the data folder, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in finished.data.rglob("*") if path.is_file()}


def test_a_version_is_made_again_to_the_last_digit(finished):
    before = files(finished)
    done = reproduce(finished, "champion")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert lines[-1] == "Version 1 is reproduced: every digit of its figures is equal."
    assert lines[-2] == "Largest difference of these figures: 0"
    for line in ("data_processing: equal (10 outputs)", "lm_finetuning: equal (6 outputs)"):
        assert line in lines
    assert "registration: equal (2 outputs)" in lines
    assert files(finished) == before


def test_another_seed_is_seen_at_the_first_node_that_reads_it(finished, tmp_path):
    first = json.loads((finished.as_it_ended / "06_models/registered_model.json").read_text())["run_id"]
    (file,) = finished.data.glob(f"mlruns/{first}/artifacts/reproduce/parameters.yml")
    text = file.read_text()
    assert "\nseed: 0\n" in f"\n{text}"
    try:
        file.write_text(f"\n{text}".replace("\nseed: 0\n", "\nseed: 1\n"))
        done = reproduce(finished, "1", f"--keep={tmp_path / 'outputs'}")
    finally:
        file.write_text(text)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "Differs first at data_processing.split (interactions, split" in done.stdout.splitlines()[-1]
    assert "data_processing: " in done.stdout
    assert (tmp_path / "outputs/08_reporting/metrics.parquet").is_file()


def test_an_unknown_version_names_those_that_exist(finished):
    done = reproduce(finished, "70")
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("No version '70' of 'tailor-test'. Known: 1, ")
    assert "champion" in said
