"""A recommender whose encoder is the planted truth: it reads the genre out of a text, and nothing else."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tailor.data.fabricate import PlantedCatalogue
from tailor.data.hashing import tie_ranks
from tailor.data.ids import IdMap
from tailor.data.item_metadata import ItemMetadata
from tailor.data.side_features import FeatureEncoder
from tailor.hybrid.blend import BlendModel, BlendWeights
from tailor.hybrid.config import HybridConfig
from tailor.hybrid.model import Hybrid
from tailor.hybrid.sources import SOURCES
from tailor.models.base import FittedModel
from tailor.models.popular import Popular
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings
from tests.conftest import Tables, by_source

TEXT = {"item_template": ["{title}", "{genre}"], "categories": {"column": "genre", "separator": "|"}}
FAST: dict[str, dict[str, Any]] = {
    "ials": {"factors": 8, "iterations": 5, "lambda_item_feature": 1.0},
    "ease": {"regularization": 20.0, "text_pull": 20.0},
    "slit": {"regularization": 20.0},
}


def weights(
    few_shot: tuple[tuple[int, dict[str, float]], ...] = (), cold_shift: float = 0.5, **warm: float
) -> BlendWeights:
    """Weights by source for warm items; cold ones are what the factors say."""
    short = tuple((longest, by_source(**by_name)) for longest, by_name in few_shot)
    return BlendWeights(tuple(SOURCES), BlendModel(by_source(**warm)), short, by_source(ials=1.0), cold_shift)


def hybrid(blend: BlendWeights, sources: dict[str, dict[str, Any]] | None = None) -> Hybrid:
    """The hybrid of all sources, small enough to be fitted in a second."""
    options = {name: (sources or FAST).get(name, {}) for name in SOURCES}
    return Hybrid(HybridConfig(sources=options), 0, blend)


def recommender_of(tables: Tables, model: FittedModel, **fields: Any) -> Recommender:
    """A recommender that knows the train rows of the tables."""
    known: dict[str, Any] = {
        "users": IdMap(tables.users["user_id"]),
        "items": IdMap(tables.items["item_id"]),
        "histories": tables.train_set.queries(),
        "tie_rank": tie_ranks(0, tables.items["item_id"]),
        "about": {"fit_on": "train"},
    }
    return Recommender(model, **(known | fields))


class Planted:
    """Reads the cluster's genre out of a text; words it does not know are no direction at all."""

    def __init__(self, centres: dict[str, np.ndarray]) -> None:
        self.centres = centres

    def encode(self, texts: list[str]) -> np.ndarray:
        size = len(next(iter(self.centres.values())))
        rows = [sum((v for g, v in self.centres.items() if g in t.lower()), np.zeros(size)) for t in texts]
        return np.array([r / (np.linalg.norm(r) or 1) for r in rows], np.float32)

    def save(self, folder: Path, weights: str = "bf16") -> None:  # noqa: ARG002
        folder.mkdir()
        (folder / "kept.txt").write_text("x")


@pytest.fixture(scope="session")
def served(tables: Tables) -> Recommender:
    """A hybrid with titles, genres, years and the planted encoder."""
    ids, genre = tables.items["item_id"], tables.items["genre"].str.lower()
    centres = {g: tables.features[(genre == g).to_numpy()].mean(axis=0) for g in sorted(set(genre))}
    table = tables.items.assign(year=1980 + np.arange(len(ids)) % 40)
    pieces = pd.Series([json.dumps([f"thing {row}", g]) for row, g in enumerate(table["genre"])])
    categories = pd.DataFrame({"item_id": ids, "category": table["genre"]})
    return recommender_of(
        tables,
        hybrid(weights(ials=0.5, ease=0.25, text_knn=0.15, popular=0.1)).fit(tables.train_set),
        about={"text": TEXT, "fit_on": "train", "seed": 0},
        metadata=ItemMetadata.build(table[["item_id", "title", "genre", "year"]], pieces, categories),
        encoder_of=lambda: Planted(centres),
    )


@pytest.fixture(scope="session")
def popular(tables: Tables) -> Recommender:
    """A model without boosts, texts or factors."""
    return recommender_of(tables, Popular().fit(tables.train_set))


@pytest.fixture(scope="session")
def genres(served: Recommender) -> dict[str, str]:
    """The genre of each item."""
    categories = served.known_metadata.categories
    return dict(zip(served.item_ids, (row[0] for row in categories), strict=True))


@pytest.fixture(scope="session")
def names(genres: dict[str, str]) -> list[str]:
    """All genres."""
    return sorted(set(genres.values()))


@pytest.fixture(scope="session")
def known(tables: Tables) -> str:
    """The user with the longest history."""
    return str(tables.users["user_id"].iloc[int(np.diff(tables.matrices["train"].indptr).argmax())])


@pytest.fixture(scope="session")
def history(tables: Tables, known: str) -> list[str]:
    """That user's items, oldest first."""
    row = tables.train_set.order[[tables.users["user_id"].tolist().index(known)]]
    return tables.items["item_id"].iloc[row.indices[np.argsort(row.data)]].tolist()


@pytest.fixture(scope="session")
def by_profile(tables: Tables, planted: PlantedCatalogue) -> Recommender:
    """Every user tells their cluster; of users without a history nothing else is looked at."""
    from dataclasses import replace

    from tailor.data.config import SideFeatureOptions

    users = tables.users.assign(cluster=planted.user_cluster[tables.users["user_id"]].to_numpy())
    encoder = FeatureEncoder.fit(users, SideFeatureOptions(columns=["cluster"], bins=50, min_rows=1), [], "here")
    data = replace(tables.train_set, profiles=encoder.transform(users))
    blend = weights(((0, {"demographic": 0.9, "popular": 0.1}),), ials=1.0)
    return recommender_of(
        tables,
        hybrid(blend).fit(data),
        histories=data.queries(),
        about={"feature_encoders": {"profile": encoder.state()}},
    )


def listed(recommender: Recommender, request: Request, **settings: Any) -> Answer:
    """One list, of 10 items unless the settings say otherwise."""
    return recommender.recommend([request], Settings(**({"k": 10} | settings)))[0]


def scores_of(recommender: Recommender, request: Request, **settings: Any) -> pd.Series:
    """The score of every item of the catalogue, by id; seen ones too."""
    answer = listed(recommender, request, **({"k": 1000, "exclude_seen": False} | settings))
    return pd.Series(answer.scores, index=answer.item_ids)
