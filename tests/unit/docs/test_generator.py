"""The generated reference names everything there is: options, datasets, models, metrics, routes, commands."""

import re

import pytest
import yaml

from docs import generator
from docs.generator import api, catalog, commands, markdown, metrics, models, options, requests
from tailor.cli import tailor
from tailor.config import Options
from tailor.hybrid.sources import SOURCES
from tailor.metrics import registered_metrics
from tailor.models.registry import BASELINES, model_class
from tailor.options import ProjectOptions
from tailor.rerank import registered_rerankers
from tailor.serving.schema import Answer, Request, Settings
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def pages():
    return {name: page() for name, page in generator.PAGES.items()}


def rows_of(page):
    """The tables' rows as cells, by their first cell without its back ticks."""
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells for cells in (re.split(r" (?<!\\)\| ", line[2:-2]) for line in lines)}


def dotted(model, prefix=""):
    for name, field in model.model_fields.items():
        path = f"{prefix}.{name}" if prefix else name
        inside = options.options_in(field.annotation)
        yield path
        yield from dotted(inside, path) if inside else ()


def test_every_option_has_a_row_with_its_default_and_says_what_it_does(pages):
    rows = rows_of(pages["options.md"])
    nested = {name for name, field in ProjectOptions.model_fields.items() if options.options_in(field.annotation)}
    assert set(rows) == set(dotted(ProjectOptions)) - nested
    assert rows["lm_finetuning.epochs"][2] == f"`{ProjectOptions().lm_finetuning.epochs}`"
    assert rows["data_processing.cleaning.implicit_threshold"][2] == "`null`"
    unexplained = [name for name, cells in rows.items() if not (cells[3].strip() or cells[4].strip())]
    assert not unexplained, f"options without a docstring below them, nor a comment in conf/base: {unexplained}"


def test_every_dataset_of_the_base_catalog_has_a_row(pages):
    rows = rows_of(pages["catalog.md"])
    entries = {
        name
        for file in (ROOT / "conf/base/catalog").glob("*.yml")
        for name in yaml.safe_load(file.read_text())
        if not name.startswith("_")
    }
    assert set(rows) == entries
    assert rows["split"][1:4] == ["`tailor.datasets.ParquetDataset`", "`03_primary/split.parquet`", "primary"]


def test_every_source_baseline_and_re_ranker_is_named_with_its_options(pages):
    rows = rows_of(pages["models.md"])
    assert set(SOURCES) | set(BASELINES) | set(registered_rerankers()) <= set(rows)
    for name in {*SOURCES, *BASELINES}:
        config = SOURCES[name].model.config_class if name in SOURCES else model_class(name).config_class
        section = pages["models.md"].split(f"### {name}\n")[1].split("\n### ")[0]
        assert set(config.model_fields) <= set(rows_of(section)), name


def test_every_metric_has_a_row_that_says_what_it_is(pages):
    rows = rows_of(pages["metrics.md"].split("## Columns")[0])
    # Plug-ins of other tests may have joined since the page was made.
    built_in = {one.name for one in registered_metrics() if one.function.__module__.startswith("tailor.")}
    assert built_in <= set(rows)
    assert not [name for name in built_in if not rows[name][1].strip()], "metrics without a docstring"
    assert rows["ndcg"][1].startswith("DCG@k / ideal DCG@k")


def test_every_field_of_requests_and_every_route_is_named(pages):
    page = pages["requests.md"]
    assert {*Request.model_fields, *Settings.model_fields, *Answer.model_fields} <= set(rows_of(page))
    routes = {(method, path) for method, path, *_ in requests.operations()}
    assert {("POST", "/recommend"), ("PUT", "/items"), ("GET", "/health")} <= routes
    for method, path in routes:
        assert f"| {method} | `{path}` |" in page


def test_every_command_target_and_pipeline_is_named(pages):
    page = pages["commands.md"]
    assert set(re.findall(r"^### tailor (\S+)$", page, re.MULTILINE)) == set(tailor.commands)
    for name, command in tailor.commands.items():
        section = page.split(f"### tailor {name}\n")[1].split("\n### ")[0]
        assert "sage: " in section, name
        for parameter in command.params:
            if parameter.param_type_name == "option" and name not in ("run", "serve"):
                assert parameter.opts[0] in section
    makefile = (ROOT / "Makefile").read_text().splitlines()
    phony = {target for line in makefile if line.startswith(".PHONY:") for target in line.split()[1:]}
    rows = rows_of(page)
    assert {f"make {target}" for target in phony} == {name for name in rows if name.startswith("make ")}
    assert {folder.parent.name for folder in (ROOT / "src/tailor/pipelines").glob("*/pipeline.py")} <= set(rows)


def test_what_the_api_page_names_exists():
    import importlib

    for name in [name for names in api.SECTIONS.values() for name in names]:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, attribute = name.rsplit(".", 1)
            assert hasattr(importlib.import_module(module), attribute), name


def test_a_page_that_is_no_longer_made_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(generator, "PAGES", {"one.md": lambda: "# One\n"})
    (tmp_path / "old.md").write_text("# Old\n")
    assert generator.write(tmp_path) == [tmp_path / "one.md"]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one.md": "# One\n"}


def test_no_table_is_broken_by_its_cells(pages):
    for name, page in pages.items():
        width = 0
        for line in page.splitlines():
            bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert not width or not bars or bars == width, f"{name}: {line}"
            width = bars


def test_comments_belong_to_the_key_below_or_beside_them():
    text = "# Of a.\na:\n  b: 1  # Of b.\n  c: [x]\n\n# Of nothing.\n\nd: 2\n"
    assert options.comments(text) == {"a": "Of a.", "a.b": "Of b."}
    assert catalog.comments('# One.\nx:\n  type: y\n"z_{n}":\n  type: y\n') == {"x": "One.", "z_{n}": ""}


class Inner(Options):
    low: int = 0
    """Of :class:`Inner`, ``low``."""


class Outer(Inner):
    """Options of a test."""

    inner: Inner | None = None
    listed: list[Inner] = []


def test_docstrings_below_fields_are_read_those_of_parents_too():
    assert markdown.attribute_docs(Outer) == {"low": "Of `Inner`, `low`."}
    assert options.options_in(Outer.model_fields["inner"].annotation) is Inner
    assert options.options_in(Outer.model_fields["listed"].annotation) is None


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "number", "exclusiveMinimum": 0}, "number, above 0"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string"),
        ({"type": "array", "items": {"type": "integer"}}, "list of integer"),
        ({"const": "tpe"}, '"tpe"'),
        ({"$ref": "#/x"}, "mapping"),
    ],
)
def test_types_are_written_in_words(schema, text):
    assert options.type_name(schema) == text


def test_bars_and_line_breaks_do_not_end_a_cell():
    assert markdown.table(["a"], [["x|y\nz"]]) == "| a |\n|---|\n| x\\|y z |"


def test_targets_without_a_text_are_left_out():
    assert commands.targets("run: ## all\nhidden: x\nviz-build: y ## files\n") == [
        ("run", "all"),
        ("viz-build", "files"),
    ]


def test_metrics_and_models_pages_are_those_of_the_registry():
    assert metrics.page is generator.PAGES["metrics.md"]
    assert models.sources().count("\n") == len(SOURCES) + 1


def mentioned():
    """Dotted names of options in code of the pages, with their page: `hybrid_cf.blend.models`, `tuning.prune: true`."""
    keys = "|".join(name for name in ProjectOptions.model_fields if name not in ("seed", "model_name", "plugins"))
    name = re.compile(rf"`((?:{keys})(?:\.[a-z_]\w*)+)(?::[^`]*|=[^`]*)?`")
    for path in sorted((ROOT / "docs").rglob("*.md")):
        # Former names stand in the glossary and in decisions.
        if path.parent != generator.FOLDER and "adr" not in path.parts and path.name != "glossary.md":
            yield from ((path.name, found[1]) for found in name.finditer(path.read_text()))


def test_every_option_that_a_page_names_exists():
    from tailor.pipeline_registry import default_pipeline

    known = set(dotted(ProjectOptions))
    open_ended = {"columns", "trials", "space", "sources", "scenarios", "peft"}  # whose keys are data
    nodes = {part for one in default_pipeline().nodes for part in (one.name, one.name.rpartition(".")[0])}
    names = list(mentioned())
    assert len(names) > 50
    wrong = [
        f"{page}: {name}"
        for page, name in names
        if name not in known | nodes and not open_ended & set(name.split(".")[1:-1])
    ]
    assert not wrong, "\n".join(wrong)
