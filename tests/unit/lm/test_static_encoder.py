"""The token table: means of token vectors, served without torch."""

import subprocess
import sys

import numpy as np

from tailor.lm.static_encoder import StaticEncoder
from tests.unit.lm.conftest import TEXTS


def test_rows_are_means_of_length_1(student):
    one, two = student.encode(["space", "opera"])
    table = student.table.astype(np.float32)
    ids = [row[0] for row in student.ids(["space", "opera"])]
    expected = table[ids].mean(axis=0)
    np.testing.assert_allclose(student.encode(["space opera"])[0], expected / np.linalg.norm(expected), rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm([one, two], axis=1), 1, rtol=1e-5)
    assert not student.encode(["", "😀"]).any()


def test_saved_and_loaded(student, tmp_path):
    student.save(tmp_path / "student")
    loaded = StaticEncoder.load(tmp_path / "student")
    np.testing.assert_array_equal(loaded.encode(TEXTS), student.encode(TEXTS))


LIGHT = """
import sys
from pathlib import Path
from tailor.lm.static_encoder import StaticEncoder
print(StaticEncoder.load(Path(sys.argv[1])).encode(["space opera"]).shape)
assert not {"torch", "transformers"} & set(sys.modules)
"""


def test_it_needs_no_torch(student, tmp_path):
    student.save(tmp_path / "student")
    command = [sys.executable, "-c", LIGHT, str(tmp_path / "student")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"(1, {student.table.shape[1]})"
