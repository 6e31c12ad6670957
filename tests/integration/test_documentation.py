"""The commands of the documentation do what the pages say; `make test-docs` runs the slow ones too."""

from itertools import takewhile

import pytest

from tests.conftest import ROOT
from tests.documentation import blocks, make_checkout, marked_pages, run_page, runs_slow_blocks

PAGES = {str(path.relative_to(ROOT)): path for path in marked_pages()}
#: Pages with a command before the first slow one.
FIRST = [
    name
    for name, path in PAGES.items()
    if "run" in [block.kind for block in takewhile(lambda block: block.kind != "slow", blocks(path.read_text()))]
]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", PAGES if runs_slow_blocks() else FIRST)
def test_the_commands_of_a_page_do_what_it_says(name, tmp_path):
    run_page(PAGES[name], make_checkout(tmp_path / "tailor"), slow=runs_slow_blocks())


def test_tutorials_are_run():
    assert {f"docs/tutorials/{name}.md" for name in ("own-catalogue", "own-source", "champion", "scenarios")} <= set(
        PAGES
    )
