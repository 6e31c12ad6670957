"""What choices are made on: a fit that treats pseudo-cold B as cold and some users as new, and the validation rows."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NotRequired, TypedDict, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from tailor import columns as c
from tailor.data.domains import domain_masks_of, domain_numbers
from tailor.data.hashing import tie_ranks
from tailor.data.interactions import (
    binary,
    blocked_pairs,
    bucket_items,
    keep_items,
    keep_users,
    pseudo_cold_items,
    restrict_order,
    restrict_strengths,
    restrict_to,
    warm_items,
)
from tailor.data.side_features import SideFeatures
from tailor.data.user_texts import UserTexts
from tailor.hybrid.config import FEW_SHOT_SHARE
from tailor.hybrid.sources import order_readers
from tailor.metrics.accuracy import hits, ndcg
from tailor.models.base import Contexts, Csr, FittedModel, Floats, Indices, Mask, Query, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import BASELINES, model_class
from tailor.types import AnyArray

log = logging.getLogger(__name__)
MIXED_COLD = "mixed_cold"


class ChoosingRows(TypedDict):
    """What :func:`hold_out` takes of users' rows; no test row is among them."""

    train: Csr
    """(U, n_items)."""
    validation: Csr
    """(U, n_items)."""
    order: Csr
    """Places of train rows in each user's order (U, n_items); empty where the order is not known."""
    reveal_order: Csr
    """Places of train and validation rows (U, n_items), in which few-shot users reveal them."""
    side_features: Mapping[str, AnyArray]
    """Of users, and of the moments they acted in: :meth:`SideFeatures.arrays`."""
    user_texts: NotRequired[Mapping[str, AnyArray]]
    """What users wrote, :meth:`UserTexts.arrays`; left out: nothing."""
    strengths: NotRequired[Csr]
    """How sure known pairs are, and which are blocked (U, n_items); left out or empty: all are alike."""


@dataclass(frozen=True)
class Holdout:
    """The validation side of the split; no test row is among its fields."""

    interactions: Csr
    """What is fitted on: train interactions without B and without the few-shot users' rows (U, n_items)."""
    histories: Query
    """What lists are computed from: train interactions without B, their order, profiles (U users)."""
    seen: Csr
    """What lists leave out: all train interactions, and blocked pairs (U, n_items)."""
    validation: Csr
    """Positives (U, n_items)."""
    warm: Mask
    """Items that are learnt from (n_items,)."""
    cold: Mask
    """Pseudo-cold B (n_items,); no item where ``data_processing.split.pseudo_cold`` is 0."""
    candidates: Mask
    """Everything but the held-out cold items (n_items,)."""
    tail: Mask
    """Tail items that are learnt from (n_items,)."""
    tie_rank: NDArray[np.int64]
    few_shot_users: Indices
    """Users that play new ones: their rows are in no fit."""
    reveal_order: Csr
    """Train and validation rows without B, in the order in which few-shot users reveal them (U, n_items)."""
    contexts: Contexts
    validation_contexts: Floats
    """Mean context of each user's validation rows (U, r): in what moments lists would have been asked for."""
    user_texts: UserTexts
    """What users wrote; on rows of validation too, which few-shot users reveal."""
    domains: Indices | None = None
    """Number of the domain of each item (n_items,); None: there is one."""
    seed: int = 0
    """Of the sample of users that models are measured on, where there is one."""

    @classmethod
    def build(
        cls,
        train: Csr,
        validation: Csr,
        items: pd.DataFrame,
        seed: int,
        order: Csr | None = None,
        reveal_order: Csr | None = None,
        side_features: SideFeatures | None = None,
        user_texts: UserTexts | None = None,
    ) -> "Holdout":
        """Derive the masks from the item table, and draw a tenth of the users with train rows as few-shot users.

        Args:
            train: (U, n_items).
            validation: (U, n_items).
            items: the item table.
            seed: of the draw.
            order: places of train rows in each user's order; None: the order is not known.
            reveal_order: places of train and validation rows, in which few-shot users reveal them; None: a seeded one.
            side_features: of users, and of the moments they acted in.
            user_texts: what users wrote.
        """
        cold = pseudo_cold_items(items, "B")
        warm = warm_items(items) & ~cold
        history = keep_items(binary(train), warm)
        side = side_features or SideFeatures.nothing(train.shape[0])
        texts = user_texts or UserTexts.none()
        users = np.arange(train.shape[0])
        reveal_order = _seeded_order(train, validation) if reveal_order is None else reveal_order
        every = cls(
            interactions=history,
            histories=Query.of(
                history,
                restrict_order(order, history),
                profile=side.profiles,
                context=np.zeros_like(side.validation_contexts),
                user_index=users,
                user_text=texts.sums(history, users),
            ),
            seen=train,
            validation=validation,
            warm=warm,
            cold=cold,
            candidates=~bucket_items(items, c.COLD),
            tail=bucket_items(items, c.TAIL) & warm,
            tie_rank=tie_ranks(seed, items[c.ITEM]),
            few_shot_users=users[:0],
            reveal_order=keep_items(reveal_order, warm),
            contexts=Contexts(side.context_users, side.context_items, side.contexts),
            validation_contexts=side.validation_contexts,
            user_texts=texts,
            domains=domain_numbers(items),
            seed=seed,
        )
        return every.with_few_shot_share(FEW_SHOT_SHARE, seed)

    @property
    def has_cold_items(self) -> bool:
        """Whether any item plays a cold one."""
        return bool(self.cold.any())

    @property
    def knows_order(self) -> bool:
        """Whether the order of histories is known: the catalogue has times, and the split keeps to them."""
        return self.histories.order is not None

    def with_strengths(self, strengths: Csr | None) -> "Holdout":
        """Return the same with how sure pairs are: in fits and histories; blocked pairs are in no list.

        Few-shot users reveal, and are measured on, pairs that are no weaker than those of validation.

        Args:
            strengths: as of :func:`tailor.data.interactions.strength_matrix`; None or empty: all are alike.
        """
        if strengths is None or not strengths.nnz:
            return self
        confidence = restrict_to(strengths, self.histories.history)
        least = float(restrict_to(strengths, self.validation).data.min(initial=1.0))
        return replace(
            self,
            histories=replace(self.histories, confidence=confidence, memo={}),
            seen=sparse.csr_matrix(self.seen + blocked_pairs(strengths, self.seen.shape)),
            reveal_order=restrict_to(self.reveal_order, sparse.csr_matrix(strengths >= least, dtype=np.float32)),
        )

    def with_few_shot_share(self, share: float, seed: int) -> "Holdout":
        """Return the same with another share of the users with train rows who are in no fit, drawn by ``seed``."""
        known = np.flatnonzero(np.diff(self.seen.indptr) > 0)
        drawn = np.random.default_rng([seed, 1]).permutation(known)[: round(share * len(known))]
        return self.with_few_shot_users(np.sort(drawn))

    def with_few_shot_users(self, users: Indices) -> "Holdout":
        """Return the same with other users who are in no fit."""
        history = self.histories.history
        others = np.setdiff1d(np.arange(history.shape[0]), users)
        return replace(self, interactions=keep_users(history, others), few_shot_users=users)

    def as_if_taken(self, users: Indices, known: Csr) -> Query:
        """Return users (B,) as if they had taken these items alone, ``known`` (B, n_items), in the places it holds."""
        return Query.of(
            known,
            known if self.knows_order else None,
            profile=self.histories.profile[users],
            context=self.validation_contexts[users],
            user_index=users,
            user_text=self.user_texts.sums(known, users),
        )

    def train_set(self, item_features: Floats) -> TrainSet:
        """Return what models are fitted on, with texts ``item_features`` (n_items, m)."""
        return (
            TrainSet.of(
                self.interactions,
                self.warm,
                order=restrict_order(self.histories.order, self.interactions),
                confidence=restrict_strengths(self.histories.confidence, self.interactions),
                tail=self.tail,
                item_features=item_features,
                profiles=self.histories.profile,
                contexts=self.contexts,
            )
            .with_user_texts(self.user_texts)
            .with_domains(self.domains)
        )

    def measure(self, model: FittedModel, k: int, max_users: int | None = None) -> dict[str, float]:
        """Return mean NDCG@k: warm, tail (over warm candidates), cold (over B), mixed and mixed_cold (over both).

        A list holds items of one domain; the mean is over the lists of all domains.

        Args:
            model: scores.
            k: length of the lists.
            max_users: users that have validation rows, at most; drawn by seed, the same for every model. None: all.
        """
        users = np.flatnonzero(np.diff(self.validation.indptr) > 0)
        if max_users is not None:
            users = np.sort(np.random.default_rng([self.seed, 6]).permutation(users)[:max_users])
        of_set = {c.WARM: self.candidates & ~self.cold, c.COLD: self.cold, c.MIXED: self.candidates}
        domains = domain_masks_of(self.domains, len(self.cold))
        sets = {(name, place): mask & inside for name, mask in of_set.items() for place, inside in enumerate(domains)}
        lists = recommend(model, self.histories.take(users), self.seen[users], sets, k, self.tie_rank)
        counted = {name: (name, mask) for name, mask in of_set.items()}
        counted |= {c.TAIL: (c.WARM, self.tail), MIXED_COLD: (c.MIXED, self.cold)}
        values = {}
        for name, (candidates, mask) in counted.items():
            per_list = []
            for place, inside in enumerate(domains):
                positives = keep_items(self.validation[users], mask & inside)
                per_list.append(ndcg(hits(lists[candidates, place][0], positives), np.diff(positives.indptr), k))
            per_user = np.concatenate(per_list)
            values[name] = float(np.nanmean(per_user)) if np.isfinite(per_user).any() else 0.0
        return values


def hold_out(
    items: pd.DataFrame, seed: int, few_shot_share: float = FEW_SHOT_SHARE, **rows: Unpack[ChoosingRows]
) -> Holdout:
    """Lay down what choices are made on, from what the pipelines hold.

    A catalogue without times is said to be one here, and so is a split without pseudo-cold items, once in a run.

    Args:
        items: the item table.
        seed: of who plays a new user.
        few_shot_share: share of the users with train rows who do, and are in no fit.
        rows: no test row.
    """
    side, texts = SideFeatures(**rows["side_features"]), UserTexts.from_arrays(rows.get("user_texts"))
    built = Holdout.build(
        rows["train"], rows["validation"], items, seed, rows["order"], rows["reveal_order"], side, texts
    )
    holdout = built.with_few_shot_share(few_shot_share, seed).with_strengths(rows.get("strengths"))
    baselines = [name for name in BASELINES if model_class(name).needs_order]
    readers = ", ".join(dict.fromkeys([*order_readers(), *baselines]))
    if readers and not holdout.knows_order:
        log.warning("The catalogue has no times, or data_processing.split.strategy is random: %s left out", readers)
    if not holdout.has_cold_items:
        log.warning("No item is pseudo-cold: choices are made on warm items, and cold items take the warm weights")
    return holdout


def gather_train_set(
    train: Csr,
    order: Csr,
    items: pd.DataFrame,
    side_features: Mapping[str, AnyArray],
    user_texts: Mapping[str, AnyArray] | None = None,
    strengths: Csr | None = None,
) -> TrainSet:
    """Gather what the final models are fitted on; texts come with each encoder.

    Args:
        train: all of train, or train and validation (U, n_items).
        order: places of known rows in each user's order; empty where the order is not known.
        items: the item table.
        side_features: of users, and of the moments they acted in; contexts of other rows than these are not read.
        user_texts: what users wrote, :meth:`UserTexts.arrays`; None: nothing.
        strengths: how sure known pairs are (U, n_items); None or empty: all are alike.
    """
    side = SideFeatures(**side_features)
    return (
        TrainSet.of(
            train,
            warm_items(items),
            order=restrict_order(order, train),
            confidence=restrict_strengths(strengths, train),
            tail=bucket_items(items, c.TAIL),
            profiles=side.profiles,
            contexts=Contexts(side.context_users, side.context_items, side.contexts),
        )
        .with_user_texts(UserTexts.from_arrays(user_texts))
        .with_domains(domain_numbers(items))
    )


def _seeded_order(train: Csr, validation: Csr) -> Csr:
    order = sparse.csr_matrix(train + validation, dtype=np.float32)
    order.data = np.random.default_rng(0).permutation(order.nnz).astype(np.float32) + 1
    return order
