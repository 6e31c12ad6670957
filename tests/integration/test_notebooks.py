"""The five notebooks run from the first cell to the last on what a finished run left, in a copy of the project."""

import pytest

from tests.notebooks import NAMES, execute, make_copy

pytestmark = pytest.mark.slow

#: Words of the outputs of each, in this order: what it is about has come out.
SAID = {
    "01-first-look.ipynb": ["item_id not in the items table", "The long tail", "hybrid_lora"],
    "02-frozen-or-tuned.ipynb": ["users in common", "of the same camp", "hybrid_frozen", "✓"],
    "03-trade-offs.ipynb": ["'cold_boost'", "loss allowed", "far out", "✓", "dpp", "'strength'"],
    "04-own-source.ipynb": [" passed", "user_knn alone", "verdict"],
    "05-champion.ipynb": ["first", "known_user", "version 2: refused", "version 2: promoted", "{'champion': 1}"],
}


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    return make_copy(tmp_path_factory.mktemp("notebooks") / "project", finished.as_it_ended, finished.data)


def test_every_notebook_is_run():
    assert list(SAID) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(project, name):
    text = "".join(str(cell.get("outputs", "")) for cell in execute(project, name).cells)
    place = 0
    for words in SAID[name]:
        place = text.find(words, place)
        assert place >= 0, f"{name} does not say {words!r}, or too early"
