import pytest
from pydantic import ValidationError

from tailor.config import parse
from tailor.errors import ConfigurationError
from tailor.lm.config import LMOptions
from tailor.options import ColumnOptions, ProjectOptions, SplitOptions


def test_misspelt_key_names_the_path_and_a_suggestion():
    with pytest.raises(ConfigurationError, match=r"'lm_finetuning.epcohs' does not exist. Did you mean 'epochs'\?"):
        parse(ProjectOptions, {"lm_finetuning": {"epcohs": 5}}, "")


def test_nested_and_top_level_keys():
    with pytest.raises(
        ConfigurationError,
        match=r"'lm_finetuning.encoder.pool' does not exist.*Did you mean 'pooling'.*Known here: base_model",
    ):
        parse(ProjectOptions, {"lm_finetuning": {"encoder": {"pool": "mean"}}}, "")
    with pytest.raises(ConfigurationError, match=r"'hybrid_fc' does not exist. Did you mean 'hybrid_cf'\?"):
        parse(ProjectOptions, {"hybrid_fc": {}}, "")


def test_all_problems_are_listed_with_values():
    with pytest.raises(ConfigurationError) as caught:
        parse(ProjectOptions, {"lm_finetuning": {"epochs": 0, "batch_size": "many"}}, "")
    assert "Parameter 'lm_finetuning.epochs' = 0: Input should be greater than or equal to 1" in str(caught.value)
    assert "Parameter 'lm_finetuning.batch_size' = 'many'" in str(caught.value)


def test_options_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        LMOptions().epochs = 3


def test_a_split_without_test_window_is_refused():
    with pytest.raises(ConfigurationError, match="leaves no test window"):
        parse(SplitOptions, {"train": 0.9, "validation": 0.1}, "data_processing.split")


def test_columns_may_be_written_as_a_list():
    options = ColumnOptions(items=[{"item_id": "id"}, {"title": "name"}])
    assert options.items == {"item_id": "id", "title": "name"}
