"""Lists from the side of an item: what reach and audience say is what the lists themselves show."""

from dataclasses import replace

import numpy as np
import pytest

from tailor.data.people import SuppressionList
from tailor.errors import BadInputError
from tailor.serving import reach as reach_module
from tailor.serving.items import ItemStore
from tailor.serving.people import with_suppressed
from tailor.serving.reach import audience, reach
from tailor.serving.schema import Request, Settings
from tests.unit.serving.conftest import scores_of


@pytest.fixture(scope="module")
def cold(served, tables):
    return str(served.item_ids[np.flatnonzero(~tables.warm)[0]])


def lists_with(model, item, k, **settings):
    answers = model.recommend([Request(user) for user in model.user_ids], Settings(k=k, **settings))
    return sum(item in answer.item_ids for answer in answers)


@pytest.mark.parametrize("k", [5, 40])
@pytest.mark.parametrize("item", ["i1", "i20", "i60"])
def test_it_counts_the_lists_that_have_the_item(served, item, k):
    counted = reach(served, item, "7", k, 2000)
    assert counted.users == len(served.user_ids)
    assert counted.reached == lists_with(served, item, k)
    row = served.item_indices([item])[0]
    assert counted.knows == int((served.histories.history[:, [row]].toarray() > 0).sum())
    assert (counted.item_id, counted.model_version, counted.k) == (item, "7", k)


def test_the_median_rank_is_that_of_the_lists(served):
    ranks = []
    for answer in served.recommend([Request(user) for user in served.user_ids], Settings(k=1000)):
        ranks += [answer.item_ids.index("i20") + 1] if "i20" in answer.item_ids else []
    assert reach(served, "i20", "7", 10, 2000).median_rank == int(np.median(ranks))


def test_a_boost_s_step_is_what_the_setting_does(served, cold):
    counted = reach(served, cold, "7", 10, 2000)
    assert [step.boost for step in counted.boosts] == ["cold_boost"] * 3
    assert [step.value for step in counted.boosts] == [0.25, 0.5, 1.0]
    for step in counted.boosts:
        assert step.reached == lists_with(served, cold, 10, cold_boost=step.value)
    assert counted.boosts[-1].reached > counted.reached
    assert any("cold_boost = " in text and "would list it to" in text for text in counted.held_back)
    nearest = served.known_metadata.titles[served.item_indices(served.similar(cold, 1)[0])[0]]
    assert any(f"judged by its text alone; by that it stands beside {nearest}, " in text for text in counted.held_back)


def test_an_item_of_the_head_has_no_boost(served):
    head = str(served.item_ids[np.flatnonzero(served.model.warm & ~served.model.tail)[0]])
    assert reach(served, head, "7", 10, 50).boosts == []


def test_the_shares_of_the_sources_sum_to_1_and_parts_to_the_score(served):
    counted = reach(served, "i20", "7", 10, 2000)
    assert sum(part.share for part in counted.parts) == pytest.approx(1)
    assert {part.source for part in counted.parts} == set(served.model.source_names)
    free = [
        user for user, row in zip(served.user_ids, served.histories.history.toarray()[:, 20], strict=True) if not row
    ]
    mean = np.mean([scores_of(served, Request(user))["i20"] for user in free])
    assert sum(part.part for part in counted.parts) == pytest.approx(mean, abs=1e-3)


def test_another_text_is_tried_out_and_changes_nothing(served, cold, names, genres):
    other = next(name for name in names if name != genres[cold])
    before = reach(served, cold, "7", 10, 2000)
    tried = reach(served, cold, "7", 10, 2000, text=f"thing {other}")
    assert (before.reached_with_text, tried.reached) == (None, before.reached)
    assert tried.reached_with_text is not None
    assert reach(served, cold, "7", 10, 2000, text=f"thing {genres[cold]}").reached_with_text == before.reached
    with pytest.raises(BadInputError, match="holds no text encoder"):
        reach(replace(served, encoder_of=None), cold, "7", 10, 50, text="x")


def test_what_is_gone_reaches_nobody_and_says_why(served):
    removed = reach(served.without_items(["i1"]), "i1", "7", 10, 50)
    assert (removed.reached, removed.knows, removed.median_rank) == (0, 0, None)
    assert removed.held_back == ["It was removed: PUT it again to list it."]
    expires = np.full(len(served.items), np.nan)
    expires[1] = 1.0
    table = served.known_metadata.table.assign(expires_at=expires)
    ended = reach(replace(served, metadata=replace(served.known_metadata, table=table)), "i1", "7", 10, 50)
    assert ended.held_back == ["It has expired: PUT it with a later date."]


def test_the_draw_is_seeded_and_bounded(served, monkeypatch):
    assert reach(served, "i20", "7", 10, 60) == reach(served, "i20", "7", 10, 60)
    other = replace(served, about=served.about | {"seed": 1})
    assert reach_module._drawn(served, 60) != reach_module._drawn(other, 60)
    monkeypatch.setattr(reach_module, "MAX_SCORES", 1)
    assert reach(served, "i20", "7", 10, 2000).users == 50
    looked_at = audience(served, "i20", "7", 5)
    assert (looked_at.looked_at, looked_at.of) == (50, len(served.user_ids))


def test_an_audience_is_who_has_the_item_far_in_front_of_the_rest(served):
    row = served.item_indices(["i20"])[0]
    standing = {}
    for user, seen in zip(served.user_ids, served.histories.history.toarray(), strict=True):
        scores = scores_of(served, Request(user), exclude_seen=True)
        if not seen[row]:
            standing[user] = (scores["i20"] - scores.mean()) / scores.std(ddof=0)
    best = sorted(standing, key=lambda user: -standing[user])[:5]
    listed = audience(served, "i20", "7", 5)
    assert [user.user_id for user in listed.users] == best
    assert [user.standing for user in listed.users] == pytest.approx([standing[user] for user in best], rel=1e-3)
    assert all(user.rank >= 1 for user in listed.users)


def test_who_bought_it_or_turned_it_down_is_no_audience(served, tmp_path):
    store = ItemStore.open(tmp_path / "shop.json")
    model = store.apply(served)
    first, second, third = (user.user_id for user in audience(model, "i20", "7", 3).users)
    bought = {"kind": "buy", "user_id": first, "item_id": "i20"}
    store.events.store.append([bought, {"kind": "not_for_me", "user_id": second, "item_id": "i20"}])
    assert audience(model, "i20", "7", 1).users[0].user_id == third


def test_who_asked_to_be_forgotten_is_neither_named_nor_counted(served):
    first, second = (user.user_id for user in audience(served, "i20", "7", 2).users)
    hidden = with_suppressed(served, SuppressionList.of([first], b"k" * 32))
    assert audience(hidden, "i20", "7", 1).users[0].user_id == second
    assert audience(hidden, "i20", "7", 1).looked_at == reach(hidden, "i20", "7", 10, 2000).users
    assert reach(hidden, "i20", "7", 10, 2000).users == len(served.user_ids) - 1
    nobody = with_suppressed(served, SuppressionList.of(map(str, served.user_ids), b"k" * 32))
    assert audience(nobody, "i20", "7", 5).users == []
    assert (reach(nobody, "i20", "7", 10, 50).users, reach(nobody, "i20", "7", 10, 50).median_rank) == (0, None)


def test_a_model_without_sources_or_boosts_says_what_it_can(popular):
    counted = reach(popular, "i1", "7", 10, 2000)
    assert counted.reached == lists_with(popular, "i1", 10)
    assert (counted.parts, counted.boosts) == ([], [])
