"""The field's words in code, parameters, datasets and headings; links of the docs that lead somewhere."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from docs.generator import FOLDER as GENERATED
from docs.generator import PAGES as GENERATED_PAGES
from tests.conftest import ROOT


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Former names that may stand nowhere, not even as a part of a name: ``told_space``, ``ToldSpace``, ``few_newcomers``.
PARTS = words(
    """
    told toldspace stranger strangers newcomer newcomers everybody dial dials fusion fusions ladder rung rungs lesson
    lessons barred afforded climb climbs wish wishes
    """
)
#: Former names that may not be a whole name. A name is compared as it is written, without leading underscores.
NAMES = words(
    """
    moments meeting of_everybody personal_weight span spans cold_span tail_span cold_exposure tail_weight price prices
    price_list price_plot max_price max_tail_price stand Gate gate gates Sides mix turn turned only Cells shown silent
    may_speak speaking kept take_after with_cold extended updated fit_around learnt Learnt Past past places strange who
    ruled_out without worth said Facts facts ItemFacts item_facts Content content Stage stage lay_out_test reveal_test
    wanted judge judged looks earlier_looks tell_people reading trouble served mixture newcomer_history text_mf mf
    sequence irspack_features found at o own
    """
)
#: Of these, the ones that are ordinary words of a sentence, and so of a heading.
ORDINARY = words(
    """
    only without who at own found shown kept said worth past places looks reading served turn mix price prices learnt
    content stage stand wanted updated extended sequence moments meeting span facts trouble
    """
)
#: Names of other libraries: attributes that are only read, and keyword arguments. Nothing of ours is defined so.
FOREIGN = words("at content sequence mix stage extended updated")
#: Former names of models, which are names of libraries in code: only keys of parameters may not be called so.
KEYS = words("irspack")
#: Pages that speak of former names.
EXCEPTED = ("CHANGELOG.md", "docs/adr", "docs/glossary.md")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def forbidden(name: str) -> bool:
    """Whether a name of code, parameters or datasets is a former one, or has one as a part.

    >>> forbidden("told_space"), forbidden("ToldSpace"), forbidden("of_everybody"), forbidden("candidate_mask")
    (True, True, True, False)
    """
    whole = name.strip("_")
    return whole in NAMES or any(part.lower() in PARTS for part in WORD.findall(whole))


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of all definitions, parameters, variables, attributes, keyword arguments and imports."""
    for node in ast.walk(ast.parse(source)):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line, node.name
        elif isinstance(node, ast.arg):
            yield line, node.arg
        elif isinstance(node, ast.Name):
            yield line, node.id
        elif isinstance(node, ast.alias):
            yield line, node.asname or node.name.rsplit(".", 1)[-1]
        elif isinstance(node, ast.Attribute) and not (isinstance(node.ctx, ast.Load) and node.attr in FOREIGN):
            yield line, node.attr
        elif isinstance(node, ast.keyword) and node.arg and node.arg not in FOREIGN:
            yield line, node.arg


def of_code() -> Iterator[tuple[str, int, str]]:
    for path in sorted((ROOT / "src").rglob("*.py")):
        for line, name in identifiers(path.read_text()):
            if forbidden(name):
                yield str(path.relative_to(ROOT)), line, name


def keys(value: object) -> Iterator[str]:
    """Yield all keys of nested mappings, those that are dotted (search spaces) part by part."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from str(key).split(".")
            yield from keys(below)
    elif isinstance(value, list):
        for below in value:
            yield from keys(below)


def of_parameters() -> Iterator[tuple[str, int, str]]:
    """Keys of conf/: parameters, and names of datasets (with the fixed parts of factory patterns)."""
    for path in sorted((ROOT / "conf").rglob("*.yml")):
        for key in keys(yaml.safe_load(path.read_text()) or {}):
            if key in KEYS or any(forbidden(part) for part in re.split(r"\{\w+\}", key)):
                yield str(path.relative_to(ROOT)), 0, key


def of_pipelines() -> Iterator[tuple[str, int, str]]:
    """Names of datasets, parameters and nodes: string literals of the wiring that look like a name."""
    for path in sorted((ROOT / "src/tailor/pipelines").rglob("pipeline.py")):
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            literal = token.string.strip("\"'").removeprefix("params:") if token.type == tokenize.STRING else ""
            if re.fullmatch(r"[\w.]+", literal) and any(forbidden(part) for part in literal.split(".")):
                yield str(path.relative_to(ROOT)), token.start[0], literal


def pages() -> list[Path]:
    """The pages that are written by hand; those of docs/reference are generated."""
    of_docs = [path for path in (ROOT / "docs").rglob("*.md") if path.parent != GENERATED]
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *of_docs])


def text_of(path: Path) -> str:
    """Return a page, or what would be generated as it."""
    return _generated(path.name) if path.parent == GENERATED else path.read_text()


@cache
def _generated(name: str) -> str:
    return GENERATED_PAGES[name]()


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page outside fenced blocks."""
    fenced = False
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


def of_headings() -> Iterator[tuple[str, int, str]]:
    for path in pages():
        name = str(path.relative_to(ROOT))
        if name.startswith(EXCEPTED):
            continue
        for number, line in prose(path):
            if re.match(r"#+ ", line):
                for word in re.findall(r"\w+", line):
                    if word.lower() not in ORDINARY and (forbidden(word) or forbidden(word.lower())):
                        yield name, number, word


def by_file(uses: Iterator[tuple[str, int, str]]) -> str:
    """Say which former names are left, one file a line."""
    places: dict[str, dict[str, int]] = defaultdict(dict)
    for path, line, name in uses:
        places[path].setdefault(name, line)
    return "\n".join(
        f"{path}: " + ", ".join(f"{name} ({line})" if line else name for name, line in names.items())
        for path, names in places.items()
    )


@pytest.mark.parametrize("uses", [of_code, of_parameters, of_pipelines], ids=["code", "parameters", "pipelines"])
def test_no_former_name_is_left(uses):
    left = by_file(uses())
    assert not left, f"former names (docs/glossary.md says how these are called now):\n{left}"


def test_no_former_name_is_in_a_heading():
    left = by_file(of_headings())
    assert not left, f"former names in headings (docs/glossary.md says how these are called now):\n{left}"


def test_a_former_name_is_seen_wherever_it_stands():
    source = (
        "import told as ok\nfrom x import meeting\nclass ToldSpace:\n    def climb(self, barred, *, gate=1): ...\n"
        "strangers = f(newcomers=1).everybody\nfine.at[0] = fine.content\n"
    )
    seen = [name for _, name in identifiers(source) if forbidden(name)]
    assert sorted(set(seen)) == [
        "ToldSpace", "barred", "climb", "everybody", "gate", "meeting", "newcomers", "strangers",
    ]  # fmt: skip
    assert list(keys({"hybrid_cf": {"without": []}, "ials.alpha": [{"a": {"b": 1}}]})) == [
        "hybrid_cf", "without", "ials", "alpha", "a", "b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["candidate_mask", "standardised", "tolerance", "gated", "stagewise", "_order", "text_ials"]
)
def test_names_of_the_field_are_allowed(name):
    assert not forbidden(name)


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: dict[str, int] = defaultdict(int)
    names = set()
    for _, line in prose(path):
        if heading := re.match(r"#+ +(.*)", line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            names.add(f"{anchor}-{found[anchor]}" if found[anchor] else anchor)
            found[anchor] += 1
    return names


def test_no_link_is_dead():
    dead = []
    for path in [*pages(), ROOT / "CHANGELOG.md", ROOT / "data/README.md"]:
        for number, line in prose(path):
            for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
                target, _, anchor = (match[1] or match[2]).partition("#")
                if "://" in target or target.startswith("mailto:"):
                    continue
                aim = (path.parent / target).resolve() if target else path
                exists = aim.name in GENERATED_PAGES if aim.parent == GENERATED else aim.exists()
                if not exists or (anchor and aim.suffix == ".md" and anchor not in anchors(aim)):
                    dead.append(f"{path.relative_to(ROOT)}:{number}: {match[1] or match[2]}")
    assert not dead, "dead links:\n" + "\n".join(dead)


def test_examples_of_contributing_are_python():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        ast.parse(block)


def test_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = [name for line in makefile.splitlines() if line.startswith(".PHONY:") for name in line.split()[1:]]
    undocumented = [name for name in phony if not re.search(rf"^{re.escape(name)}:.*## \S", makefile, re.MULTILINE)]
    assert not undocumented, (
        f"targets without a line in make help (write '## what it does' behind them): {undocumented}"
    )
