"""Nodes of ``inference``."""

import logging

import pandas as pd
from mlflow.pyfunc import PyFuncModel

from tailor import columns as c
from tailor.config import parse
from tailor.datasets.parts import Parts
from tailor.options import InferenceOptions
from tailor.serving.champion import recommender_of
from tailor.serving.items import ItemStore
from tailor.types import JsonObject, Parameters

log = logging.getLogger(__name__)
_DTYPES = {c.USER: "str", c.ITEM: "str", c.RANK: "int64", c.SCORE: "float64", "path": "str"}


def recommend_to_all_users(
    champion: PyFuncModel,
    item_state: ItemStore | None,
    users: pd.DataFrame,
    promotion: JsonObject,
    params: Parameters,
) -> Parts:
    """Ask the champion for the top k of every user, block by block; it is asked after the decision who that is."""
    options, state = parse(InferenceOptions, params, "inference"), with_state(champion, item_state)
    users = _listed(champion, users)
    log.info("The champion of '%s' answers for %d users; state: %s", promotion["name"], len(users), state)
    key = {
        "model": str(champion.metadata.model_uuid),
        "state": state,
        "users": int(pd.util.hash_pandas_object(users[c.USER], index=False).sum()),
        "options": options.model_dump(mode="json"),
    }

    domains: list[str | None] = [*recommender_of(champion).domains] or [None]

    def block(index: int) -> pd.DataFrame:
        asked = (
            users[[c.USER]].iloc[index * options.block_users : (index + 1) * options.block_users].reset_index(drop=True)
        )
        return pd.concat([_of_domain(champion, asked, options.k, domain) for domain in domains], ignore_index=True)

    return Parts(key, -(-len(users) // options.block_users), block)


def with_state(champion: PyFuncModel, item_state: ItemStore | None) -> str:
    """Let the champion list what was put, leave out what was removed, and know what users did; return which state.

    Items and events stay as they are now for the whole batch.
    """
    model = champion.unwrap_python_model()
    if item_state is None:
        return "none"
    until = item_state.events.until_place = item_state.events.store.last_place
    # Not by the model's own following: the code that was logged with an earlier version has none.
    model.recommender, model.state = item_state.apply(model.recommender), None
    for note in item_state.notes:
        log.warning("State: %s", note)
    return f"change {item_state.description['change']}, event {until} of {item_state.description['where']}"


def _listed(champion: PyFuncModel, users: pd.DataFrame) -> pd.DataFrame:
    """Return the users without those who asked to be forgotten since the tables were made."""
    return users[~recommender_of(champion).people.suppressed.mask(users[c.USER])].reset_index(drop=True)


def _of_domain(champion: PyFuncModel, asked: pd.DataFrame, k: int, domain: str | None) -> pd.DataFrame:
    """Return lists of one of several domains, which the column ``domain`` names; of the one there is without it."""
    if domain is None:
        return _long(asked.join(pd.DataFrame(champion.predict(asked, params={"k": k}))))
    answers = pd.DataFrame(champion.predict(asked.assign(**{c.DOMAIN: domain}), params={"k": k}))
    return _long(asked.join(answers)).assign(**{c.DOMAIN: domain})


def _long(answers: pd.DataFrame) -> pd.DataFrame:
    """Return one row per place: user_id, item_id, rank, score, path."""
    table = answers.explode(["item_ids", "scores"], ignore_index=True).dropna(subset=["item_ids"])
    table[c.RANK] = table.groupby(c.USER, sort=False).cumcount() + 1
    named = table.rename(columns={"item_ids": c.ITEM, "scores": c.SCORE})
    return named[list(_DTYPES)].astype(_DTYPES)
