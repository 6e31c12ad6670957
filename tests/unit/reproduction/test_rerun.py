"""A rerun: its parameters, where it writes, what it makes."""

from dataclasses import replace

import pytest

from tailor.errors import ConfigurationError
from tailor.reproduction import rerun
from tailor.reproduction.compare import Comparison


def test_the_recorded_parameters_are_in_force_and_no_others(record, place):
    trials = {"ease": [{"regularization": 7.0}]}
    parameters = record.parameters | {"seed": 5, "hybrid_cf": record.parameters["hybrid_cf"] | {"trials": trials}}
    catalog = rerun.open_catalog(place, replace(record, parameters=parameters))
    assert catalog.load("params:seed") == 5
    assert catalog.load("params:hybrid_cf")["trials"] == trials  # conf/ has those of other models too


def test_outputs_and_the_checkpoint_go_aside_and_raw_data_stay(record, place):
    assert record.parameters["lm_finetuning"]["checkpoint"] == "data/test/06_models/lm_checkpoint.safetensors"
    catalog = rerun.open_catalog(place, record)
    moved = catalog.load("params:lm_finetuning")["checkpoint"]
    assert moved == f"{place.data}/06_models/lm_checkpoint.safetensors"
    assert catalog["split"].filepath == f"{place.data}/03_primary/split.parquet"
    other = rerun.open_catalog(replace(place, environment="ml1m"), record)
    assert other["raw_items"].filepath.endswith("/data/01_raw/ml-1m/ml-1m.item")
    assert not other["raw_items"].filepath.startswith(str(place.data))


def test_a_parameter_that_is_no_longer_known_is_named(record, place):
    former = replace(record, parameters=record.parameters | {"evaluation": {"kk": [10]}})
    with pytest.raises(ConfigurationError, match=r"'evaluation\.kk' does not exist"):
        rerun.open_catalog(place, former)


def test_the_same_seed_makes_the_same_and_another_is_seen_in_the_split(record, place, pipeline, tmp_path):
    made = []
    for seed, folder in ((0, "first"), (0, "second"), (1, "third")):
        there = replace(place, data=tmp_path / folder)
        catalog = rerun.open_catalog(there, replace(record, parameters=record.parameters | {"seed": seed}))
        made.append(rerun.run(pipeline, catalog, there))
        assert (there.data / "03_primary/split.parquet").is_file()
    assert Comparison.of(made[0], made[1]).first_difference() == ""
    assert len(made[0]) == 10
    first = Comparison.of(made[0], made[2]).first_difference()
    assert first.startswith("data_processing.split (interactions, split")


def test_an_output_outside_of_the_folder_is_refused(record, place, pipeline, tmp_path):
    catalog = rerun.open_catalog(place, record)
    with pytest.raises(ConfigurationError, match=r"'clean_interactions' goes to .*would write over it"):
        rerun.run(pipeline, catalog, replace(place, data=tmp_path / "elsewhere"))
    assert not place.data.exists()
