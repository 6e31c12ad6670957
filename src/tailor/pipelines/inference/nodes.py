"""Nodes of ``inference``."""

import logging
from typing import Any

import pandas as pd
from mlflow.pyfunc import PyFuncModel

from tailor import columns as c
from tailor.options import InferenceOptions, parse
from tailor.progress import progress

log = logging.getLogger(__name__)


def recommend_to_everybody(
    champion: PyFuncModel, users: pd.DataFrame, promotion: dict[str, Any], params: dict[str, Any]
) -> pd.DataFrame:
    """Ask the champion for the top k of every user, block by block; it is asked after the decision who that is."""
    options = parse(InferenceOptions, params, "inference")
    log.info("The champion of '%s' answers for %d users", promotion["name"], len(users))
    blocks = []
    for start in progress(range(0, len(users), options.block_users), "inference", "block"):
        asked = users[[c.USER]].iloc[start : start + options.block_users].reset_index(drop=True)
        answers = asked.join(pd.DataFrame(champion.predict(asked, params={"k": options.k})))
        blocks.append(answers.explode(["item_ids", "scores"], ignore_index=True))
    table = pd.concat(blocks, ignore_index=True).dropna(subset=["item_ids"])
    table[c.RANK] = table.groupby(c.USER, sort=False).cumcount() + 1
    return table.rename(columns={"item_ids": c.ITEM, "scores": c.SCORE}).astype({c.ITEM: "str", c.SCORE: "float64"})[
        [c.USER, c.ITEM, c.RANK, c.SCORE, "path"]
    ]
