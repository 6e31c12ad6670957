"""From external ids to rows and back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailor.data.ids import IdMap

IDS = IdMap(["i3", "i7", "i1"])


def test_rows_are_places_in_the_table():
    assert len(IDS) == 3
    assert (IDS.index("i3"), IDS.index("i1"), IDS.index("nobody")) == (0, 2, -1)
    assert IDS.ids.tolist() == ["i3", "i7", "i1"]
    assert "i7" in IDS
    assert "i8" not in IDS


@pytest.mark.parametrize("kind", [list, tuple, pd.Series, pd.Index, lambda ids: np.array(ids, dtype=object), iter])
def test_any_sequence_of_ids_is_looked_up(kind):
    rows = IDS.indices(kind(["i1", "i8", "i3", "i1"]))
    assert rows.dtype == np.int64
    assert rows.tolist() == [2, -1, 0, 2]


def test_missing_ids_are_unknown():
    assert IDS.index(None) == -1
    assert IDS.indices([None, "i3"]).tolist() == [-1, 0]
    assert IDS.indices(pd.Series([None, "i3"])).tolist() == [-1, 0]


@pytest.mark.parametrize("empty", [[], pd.Series([], dtype=str), np.array([], dtype=object)])
def test_of_no_ids_there_are_no_rows(empty):
    assert IDS.indices(empty).dtype == np.int64
    assert IDS.indices(empty).shape == (0,)
    assert IdMap([]).indices(["i1"]).tolist() == [-1]


def test_ids_of_a_table_are_taken_whatever_their_text_type():
    ids = IdMap(pd.Series(["a", "b"], dtype="str"))
    assert ids.indices(["b"]).tolist() == ids.indices(pd.Series(["b"], dtype="str")).tolist() == [1]
    assert ids.ids.dtype == object


def test_more_ids_stand_behind_the_others_and_leave_the_map_alone():
    more = IDS.extend(["i9"])
    assert more.ids.tolist() == ["i3", "i7", "i1", "i9"]
    assert (more.index("i9"), IDS.index("i9"), len(IDS)) == (3, -1, 3)


@given(st.lists(st.text(max_size=4), unique=True, max_size=30))
def test_every_id_is_found_where_it_stands(ids):
    id_map = IdMap(ids)
    assert id_map.indices(ids).tolist() == list(range(len(ids)))
    assert id_map.indices(pd.Series(ids, dtype=object)).tolist() == list(range(len(ids)))
