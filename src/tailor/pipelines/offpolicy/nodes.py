"""Nodes of ``offpolicy``."""

import logging
from typing import Unpack

import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.data.domains import domain_masks
from tailor.evaluation import policy
from tailor.evaluation.config import OffPolicyOptions
from tailor.evaluation.protocol import TrainRows, train_histories
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.types import Parameters

log = logging.getLogger(__name__)
Models = dict[str, FittedModel]


def value_policy(
    policy_log: pd.DataFrame,
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    evaluation: Parameters,
    params: Parameters,
    seed: int,
    **known: Unpack[TrainRows],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Value the registered model's softmax policy, as a whole and by domain.

    Rows of unknown users or items are counted and left out. The table by domain has no rows where there is one domain.
    """
    name = parse(EvaluationOptions, evaluation, "evaluation").registered
    rows, unknown = policy.read_log(policy_log, users, items)
    if unknown:
        log.warning("policy_log: %d of %d rows name an unknown user or item", unknown, len(policy_log))
    scorer = {"hybrid_frozen": frozen, "hybrid_lora": lora}[name]["hybrid"]
    options = parse(OffPolicyOptions, params, "offpolicy")
    popularity, domains = items[c.N_TRAIN].to_numpy(), domain_masks(items)
    valued = policy.valuation(scorer, train_histories(**known), rows, popularity, options, seed, domains)
    about = {"unknown_rows": unknown, c.MODEL: name}
    return valued.whole().assign(**about), valued.by_domain().assign(**about)
