"""What mkdocs is told beyond mkdocs.yml: menus of whole folders, pages of the repository's root, links to files.

Links in the docs are those of the repository, so that they are right where the files are read on their own. A link out
of ``docs/`` leads to a page of the site where there is one; to other files (code, results) it becomes plain text.
"""

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: Pages that stand at the root of the repository, and where they stand on the site.
OF_ROOT = {
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
}
#: What a link to another page of the root leads to.
INSTEAD = {"README.md": "index.md"}
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
FENCE = re.compile(r"(^[ \t]*```.*?^[ \t]*```[ \t]*$)", re.MULTILINE | re.DOTALL)


def on_config(config: "MkDocsConfig") -> "MkDocsConfig":
    """Replace every menu entry that names a folder by the folder's pages, in the order of their names."""
    config.nav = _menu(config.nav, Path(config.docs_dir))
    return config


def _menu(entries: Any, folder: Path) -> list[Any]:
    """Return entries of a menu with folders replaced."""
    menu: list[Any] = []
    for entry in entries:
        title, below = next(iter(entry.items())) if isinstance(entry, dict) else ("", entry)
        if isinstance(below, list):
            menu.append({title: _menu(below, folder)})
        elif below.endswith("/"):
            inside = [str(path.relative_to(folder)) for path in sorted((folder / below).glob("*.md"))]
            menu += [{title: inside}] if title else inside
        else:
            menu.append(entry)
    return menu


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages of the repository's root."""
    from mkdocs.structure.files import File  # noqa: PLC0415  (tests read this module without mkdocs)

    for source, page in OF_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: "Page", config: "MkDocsConfig", files: "Files") -> str:  # noqa: ARG001
    """Lead links out of ``docs/`` to where they go on the site."""
    from_root = {page: source for source, page in OF_ROOT.items()}
    source = page.file.src_uri
    stands = from_root.get(source) or f"docs/{source}"

    def aimed(link: re.Match[str]) -> str:
        return f"[{link[1]}]({aim})" if (aim := aim_of(link[2], stands, source)) else link[1]

    parts = FENCE.split(markdown)
    return "".join(part if FENCE.match(part) else LINK.sub(aimed, part) for part in parts)


def aim_of(target: str, stands: str, source: str) -> str:
    """Return what a link becomes on the site; an empty text where it leads to no page.

    Args:
        target: of the link, as it is written.
        stands: the page in the repository.
        source: the page on the site.

    >>> aim_of("../CONTRIBUTING.md#plug-ins", "docs/architecture.md", "architecture.md")
    'project/contributing.md#plug-ins'
    >>> aim_of("docs/glossary.md", "CHANGELOG.md", "project/changelog.md"), aim_of("../src/x.py", "docs/a.md", "a.md")
    ('../glossary.md', '')
    """
    path, hash_sign, anchor = target.partition("#")
    if not path or "://" in target or target.startswith("mailto:"):
        return target
    aim = posixpath.normpath(posixpath.join(posixpath.dirname(stands), path))
    page = (OF_ROOT | INSTEAD).get(aim) or (aim.removeprefix("docs/") if aim.startswith("docs/") else "")
    if not page or (ROOT / "docs" / page).is_dir():
        return ""
    return posixpath.relpath(page, posixpath.dirname(source) or ".") + hash_sign + _of_site(aim, anchor)


def _of_site(aim: str, anchor: str) -> str:
    """Return an anchor as mkdocs makes it: GitHub calls the second heading of a name ``name-1``, mkdocs ``name_1``."""
    repeated = re.fullmatch(r"(.*)-([0-9]+)", anchor)
    page = ROOT / aim
    if not repeated or not page.exists():
        return anchor
    headings = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    slugs = [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]
    return anchor if anchor in slugs else f"{repeated[1]}_{repeated[2]}"
