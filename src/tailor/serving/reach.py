"""Lists from the side of an item: to how many users it is listed, what holds it back, and whom it suits best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from tailor.hybrid.scorer import HybridScorer
from tailor.hybrid.sources import SOURCES
from tailor.models.base import ComparesItems, Floats
from tailor.serving.reasons import Carried
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Request, Settings
from tailor.threads import blocks
from tailor.topk import EXCLUDED

#: Users that are drawn at most, for a reach and for an audience, and scores that are computed at most for either.
MAX_SAMPLE, MAX_AUDIENCE, MAX_SCORES = 2000, 20_000, 50_000_000
_BLOCK, _LEAST = 256, 50
#: Shares of the way from the operating point to 1 at which boosts are tried.
_STEPS = (0.25, 0.5, 1.0)
#: Items that are named as near.
_NEAR = 3


class SourcePart(BaseModel):
    """What a source adds to the item's score, on average over the users."""

    source: str
    part: float
    """Below 0: it pulls the item down."""
    share: float
    """Of all parts, without their signs."""


class BoostStep(BaseModel):
    """What a boost would change."""

    boost: str
    value: float
    reached: int


class Reach(BaseModel):
    """Whom an item reaches."""

    item_id: str
    model_version: str
    k: int
    users: int = Field(description="That were drawn, by the seed of the model.")
    reached: int = Field(description="Users of them in whose first k the item is.")
    knows: int = Field(description="Users of them who know it already, or turned it down.")
    median_rank: int | None = Field(description="Among the others; null: it must not be listed to anybody.")
    parts: list[SourcePart]
    boosts: list[BoostStep]
    reached_with_text: int | None = Field(description="With the text that was to be tried out.")
    held_back: list[str] = Field(description="What holds it back, in words.")


class Listener(BaseModel):
    """A user whom an item suits."""

    user_id: str
    rank: int = Field(description="Of the item in his list.")
    standing: float = Field(description="Deviations of its score from the mean of his scores.")


class Audience(BaseModel):
    """The users whom an item suits best."""

    item_id: str
    model_version: str
    looked_at: int = Field(description="Known users who were looked at; the others were not drawn.")
    of: int = Field(description="Known users.")
    users: list[Listener]


@dataclass(frozen=True)
class _Standings:
    """How an item stands with users (n,)."""

    rank: NDArray[np.int64]
    """From 1 on; 0 where it must not be listed."""
    standing: Floats
    parts: NDArray[np.float64]
    """Of the sources (n, S)."""
    sources: tuple[str, ...]


def reach(model: Recommender, item_id: str, version: str, k: int, n_users: int, text: str = "") -> Reach:
    """Say to how many users an item is listed, and what would change that.

    Args:
        model: that answers.
        item_id: a known item.
        version: of the model.
        k: length of lists.
        n_users: users that are drawn; fewer where the catalogue is so large that it would take long.
        text: another text of the item that is tried out; empty: none.

    Raises:
        BadInputError: a text is to be tried, and the model reads none.
    """
    drawn, item = _drawn(model, min(n_users, MAX_SAMPLE)), model.items.index(item_id)
    now = _standings(model, item, drawn, Settings())
    free = now.rank > 0
    steps = [_step(model, item, drawn, k, boost, share) for boost in _boosts_for(model, item) for share in _STEPS]
    with_text = None
    if text.strip():
        other = model.with_texts(model.known_metadata.take(np.array([item])), model.encoder.encode([text]))
        with_text = _n_reached(_standings(other, item, drawn, Settings()), k)
    mean = now.parts[free].mean(axis=0) if free.any() and now.parts.size else np.zeros(len(now.sources))
    whole = float(np.abs(mean).sum()) or 1.0
    parts = [
        SourcePart(source=name, part=float(part), share=float(abs(part) / whole))
        for name, part in zip(now.sources, mean, strict=True)
    ]
    return Reach(
        item_id=item_id,
        model_version=version,
        k=k,
        users=len(drawn),
        reached=_n_reached(now, k),
        knows=0 if model.gone[item] else int((~free).sum()),
        median_rank=int(np.median(now.rank[free])) if free.any() else None,
        parts=sorted(parts, key=lambda part: -part.share),
        boosts=steps,
        reached_with_text=with_text,
        held_back=_held_back(model, item, now, parts, steps, k),
    )


def audience(model: Recommender, item_id: str, version: str, k: int) -> Audience:
    """Return the k known users whom an item suits best, who do not know it: by its standing in each one's scores.

    Scores of two users cannot be compared; how far an item stands out of a user's own can.

    Args:
        model: that answers.
        item_id: a known item.
        version: of the model.
        k: users.
    """
    drawn = _drawn(model, MAX_AUDIENCE)
    standings = _standings(model, model.items.index(item_id), drawn, Settings())
    free = np.flatnonzero(standings.rank > 0)
    best = free[np.lexsort((free, -standings.standing[free]))][:k]
    users = [
        Listener(user_id=drawn[row], rank=int(standings.rank[row]), standing=float(standings.standing[row]))
        for row in best
    ]
    return Audience(item_id=item_id, model_version=version, looked_at=len(drawn), of=len(model.users), users=users)


def _drawn(model: Recommender, most: int) -> list[str]:
    """Draw known users by the model's seed, fewer of a large catalogue; those of them who are suppressed are left out.

    To ask the list about every user of a large catalogue would take seconds.
    """
    most = min(most, max(_LEAST, MAX_SCORES // max(1, len(model.items))))
    ids, seed = model.user_ids, int(model.about.get("seed", 0))
    rows = np.arange(len(ids)) if len(ids) <= most else np.random.default_rng(seed).permutation(len(ids))[:most]
    drawn: list[str] = ids[rows[~model.people.suppressed.mask(ids[rows])]].tolist()
    return drawn


def _standings(model: Recommender, item: int, user_ids: Sequence[str], settings: Settings) -> _Standings:
    """Say how an item stands with each of some users."""
    if not user_ids:
        return _Standings(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros((0, 0)), ())
    standings = list(_blocks(model, item, user_ids, settings))
    rank, standing, parts = (np.concatenate([part[n] for part in standings]) for n in range(3))
    return _Standings(rank, standing, parts, standings[0][3])


def _blocks(
    model: Recommender, item: int, user_ids: Sequence[str], settings: Settings
) -> Iterator[tuple[NDArray[np.int64], Floats, NDArray[np.float64], tuple[str, ...]]]:
    for block in blocks(len(user_ids), _BLOCK):
        fitted, query, scores, z = model.scored_block([Request(user_id=user) for user in user_ids[block]], settings)
        of_item, listed = scores[:, [item]], scores > EXCLUDED
        ahead = (scores > of_item) | ((scores == of_item) & (model.tie_rank < model.tie_rank[item]))
        rank = np.where(of_item[:, 0] > EXCLUDED, 1 + ahead.sum(axis=1), 0)
        n_listed = np.maximum(listed.sum(axis=1), 1)
        filled = np.where(listed, scores, np.float32(0))
        mean = filled.sum(axis=1) / n_listed
        deviation = np.sqrt(np.where(listed, (scores - mean[:, None]) ** 2, 0).sum(axis=1) / n_listed)
        standing = (np.where(rank > 0, of_item[:, 0], mean) - mean) / np.maximum(deviation, 1e-6)
        carried = Carried.of(fitted, query, np.full((len(scores), 1), item), z, {})
        yield rank, standing.astype(np.float32), carried.parts[:, 0], carried.sources


def _n_reached(standings: _Standings, k: int) -> int:
    return int(((standings.rank > 0) & (standings.rank <= k)).sum())


def _boosts_for(model: Recommender, item: int) -> list[str]:
    """Return the boosts that lift such an item."""
    if not isinstance(model.model, HybridScorer):
        return []
    if not model.model.warm[item]:
        return ["cold_boost"]
    return ["tail_boost"] if model.model.tail[item] else []


def _step(model: Recommender, item: int, drawn: Sequence[str], k: int, boost: str, share: float) -> BoostStep:
    start = model.operating_point_of(item).get(boost, 0.0)
    value = start + share * (1 - start)
    reached = _n_reached(_standings(model, item, drawn, Settings(**{boost: value})), k)
    return BoostStep(boost=boost, value=value, reached=reached)


def _held_back(
    model: Recommender, item: int, now: _Standings, parts: Sequence[SourcePart], steps: Sequence[BoostStep], k: int
) -> list[str]:
    """Say in words what holds an item back."""
    if model.gone[item]:
        removed = model.removed is not None and model.removed[item]
        return ["It was removed: PUT it again to list it." if removed else "It has expired: PUT it with a later date."]
    reasons, n, reached = [], len(now.rank), _n_reached(now, k)
    if (now.rank == 0).any():
        reasons.append(f"{int((now.rank == 0).sum())} of {n} users know it already, or turned it down.")
    if isinstance(model.model, HybridScorer) and not model.model.warm[item]:
        near = _near(model, item)
        beside = f"; by that it stands beside {near}" if near else ""
        reasons.append(f"Nobody had taken it when the model was fitted: it is judged by its text alone{beside}.")
    elif isinstance(model.model, HybridScorer) and model.model.tail[item]:
        reasons.append("It is of the long tail: few have taken it, so that behaviour says little of it.")
    worst = min(parts, key=lambda part: part.part, default=None)
    if worst is not None and worst.part < 0:
        label = SOURCES[worst.source].label
        reasons.append(f"What pulls it down most is {label} ({worst.part:.2f} of its mean score).")
    better = next((step for step in steps if step.reached > reached), None)
    if better is not None:
        reasons.append(f"{better.boost} = {better.value:.2f} would list it to {better.reached} of {n}, not {reached}.")
    elif steps:
        reasons.append(f"No {steps[0].boost} would list it to more than {reached} of {n}.")
    return reasons


def _near(model: Recommender, item: int) -> str:
    """Name the items that are closest to one."""
    if not isinstance(model.model, ComparesItems):
        return ""
    ids, _ = model.similar(str(model.item_ids[item]), _NEAR)
    if model.metadata is None:
        return ", ".join(ids)
    return ", ".join(model.metadata.titles[index] for index in model.item_indices(ids))
