"""Lists of many users: the same from whichever process, with the state of one moment."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tailor.errors import BadInputError
from tailor.processes import in_processes
from tailor.serving.batch import BatchLister
from tailor.serving.items import ItemStore
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings


@pytest.fixture(scope="module")
def loaded(served, tmp_path_factory):
    """A hybrid that was loaded from its package."""
    folder = tmp_path_factory.mktemp("batch") / "package"
    replace(served, encoder_of=None).save(folder)
    return Recommender.load(folder)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.delenv("TAILOR_STATE_URL", raising=False)
    return ItemStore.open(tmp_path / "shop.json", "shop")


def blocks_of(model):
    """The users of a model, in two blocks."""
    ids = model.user_ids
    return [ids[: len(ids) // 2], ids[len(ids) // 2 :]]


def test_a_row_for_each_place_says_what_the_model_answers(loaded):
    users = loaded.user_ids[:3]
    table = BatchLister.of(loaded, None, 4)[0](users)
    answers = loaded.recommend([Request(user_id=user) for user in users], Settings(k=4))
    assert table.columns.tolist() == ["user_id", "item_id", "rank", "score", "path"]
    assert table["user_id"].tolist() == np.repeat(users, 4).tolist()
    assert table["item_id"].tolist() == [item for answer in answers for item in answer.item_ids]
    assert table["rank"].tolist() == [1, 2, 3, 4] * 3
    np.testing.assert_allclose(table["score"], [score for answer in answers for score in answer.scores], atol=1e-5)
    assert table["path"].tolist() == np.repeat([answer.path for answer in answers], 4).tolist()


def test_other_processes_list_the_same_to_the_last_bit_with_the_state_of_the_beginning(loaded, store):
    """What is removed and done while a batch runs is in none of its lists."""
    [before, _] = blocks_of(loaded)
    favourite = BatchLister.of(loaded, None, 1)[0](before)["item_id"].mode()[0]
    store.remove(loaded, [favourite])
    lister, notes = BatchLister.of(loaded, store, 5)
    here = [lister(block) for block in blocks_of(loaded)]
    later = here[0]["item_id"].mode()[0]
    store.remove(loaded, [later])
    store.events.store.append([{"kind": "buy", "user_id": str(before[0]), "item_id": here[0]["item_id"][0]}])
    there = list(in_processes(lister, blocks_of(loaded), 2, "inference.workers"))
    for ours, theirs in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert notes == []
    assert favourite not in set(here[0]["item_id"])
    assert later in set(there[0]["item_id"])
    assert later not in set(BatchLister.of(loaded, store, 5)[0](before)["item_id"])


def test_blas_has_one_thread_whatever_it_has_elsewhere(loaded, monkeypatch):
    lister, threads = BatchLister.of(loaded, None, 2)[0], set()

    def watched(self, requests, settings):
        threads.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return []

    monkeypatch.setattr(Recommender, "recommend", watched)
    with threadpool_limits(2, user_api="blas"):
        lister([])
    assert threads == {1}


def test_it_is_small_however_large_the_model(loaded):
    lister = BatchLister.of(loaded, None, 5)[0]
    sent = pickle.dumps(lister)
    assert len(sent) < 1000
    assert pickle.loads(sent) == lister  # noqa: S301


def test_a_model_that_comes_from_no_package_is_refused(served):
    with pytest.raises(BadInputError, match=r"by a packaged model: load it with Recommender\.load"):
        BatchLister.of(served, None, 5)
