"""Links and menus of the site, without mkdocs."""

from types import SimpleNamespace

import pytest
import yaml

from docs import hooks
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("target", "stands", "source", "aim"),
    [
        ("../CONTRIBUTING.md#plug-ins", "docs/architecture.md", "architecture.md", "project/contributing.md#plug-ins"),
        ("../../SECURITY.md", "docs/how-to/trouble.md", "how-to/trouble.md", "../project/security.md"),
        ("../README.md", "docs/architecture.md", "architecture.md", "index.md"),
        ("docs/glossary.md", "CONTRIBUTING.md", "project/contributing.md", "../glossary.md"),
        ("LICENSE", "CONTRIBUTING.md", "project/contributing.md", ""),
        ("../benchmarks/results/cf.json", "docs/performance.md", "performance.md", ""),
        ("adr", "docs/architecture.md", "architecture.md", ""),
        ("#here", "docs/architecture.md", "architecture.md", "#here"),
        ("https://kedro.org", "docs/index.md", "index.md", "https://kedro.org"),
        ("mailto:us@example.org", "docs/index.md", "index.md", "mailto:us@example.org"),
        ("glossary.md#models-1", "docs/performance.md", "performance.md", "glossary.md#models_1"),
        ("adr/0004-lists-are-the-contract.md", "docs/a.md", "a.md", "adr/0004-lists-are-the-contract.md"),
    ],
)
def test_a_link_leads_where_it_goes_on_the_site(target, stands, source, aim):
    assert hooks.aim_of(target, stands, source) == aim


def test_links_in_code_stay_and_a_link_to_no_page_becomes_its_text():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="performance.md"))
    code = "```\n[cf](../benchmarks/results/cf.json)\n```\n"
    text = f"See [cf](../benchmarks/results/cf.json) and [terms](glossary.md).\n{code}"
    changed = hooks.on_page_markdown(text, page=page, config=None, files=None)
    assert changed == f"See cf and [terms](glossary.md).\n{code}"


def test_a_folder_in_the_menu_stands_for_its_pages_in_order(tmp_path):
    for name in ("b.md", "a.md", "note.txt"):
        (tmp_path / "how-to" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "how-to" / name).touch()
    config = SimpleNamespace(nav=[{"Do": ["how-to/", "x.md", {"All": "how-to/"}]}], docs_dir=str(tmp_path))
    assert hooks.on_config(config).nav == [
        {"Do": ["how-to/a.md", "how-to/b.md", "x.md", {"All": ["how-to/a.md", "how-to/b.md"]}]}
    ]


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name functions."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, tag, node: tag)


def entries(menu):
    for entry in menu:
        below = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from entries(below) if isinstance(below, list) else [below]


def test_every_page_is_in_the_menu_once():
    from docs.generator import FOLDER, PAGES

    menu = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]  # noqa: S506
    listed = list(entries(hooks._menu(menu, ROOT / "docs")))
    written = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md") if path.parent != FOLDER}
    expected = written | {f"reference/{name}" for name in PAGES} | set(hooks.OF_ROOT.values())
    assert sorted(listed) == sorted(expected)
