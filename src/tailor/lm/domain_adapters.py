"""A small adapter of each domain on top of the one that all share, so that a word may mean another thing there.

The shared adapter is tuned on the items of all domains and merged. Then, domain by domain, a LoRA of small rank is
tuned on the items of one, by the same objective, and its pseudo-cold A chooses the epoch by the same rule; epoch 0 is
the shared adapter. Its head starts at the ridge solution that is pulled to the head of all domains.

In a domain of no more than ``objective.kernel.items`` items the kernel predicts an item from the texts of the items of
all domains, as cold items are served: of the other domains as they are read by then. The second domain so keeps clear
of what the first one has moved, and nothing moves a domain whose words mean the same as elsewhere.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tailor.determinism import deterministic
from tailor.errors import ConfigurationError
from tailor.linear_algebra import unit_rows
from tailor.lm.config import LMOptions
from tailor.lm.encoder import Tokens, encode, load_base
from tailor.lm.objective import Landmarks
from tailor.lm.peft import Adapter, attach_domain, mergeable
from tailor.lm.trainer import History, Start, Tuning, tune
from tailor.lm.training_data import Mask, TrainingData

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]


def tune_domains(
    data: TrainingData, options: LMOptions, seed: int, domains: Mapping[str, Mask]
) -> tuple[Adapter, History]:
    """Tune the shared adapter, then one of each domain.

    Args:
        data: of all domains.
        options: ``domains`` among them, null: the shared adapter alone; with ``checkpoint``, an interrupted call is
            continued by the next one with the same arguments, to the same result.
        seed: of every generator.
        domains: items (n_items,) by name of the domain; empty where there is one.

    Returns:
        The shared adapter with those of domains that one is of use to, and the shared one's history; each of the others
        has its history in its provenance.

    Raises:
        ConfigurationError: the shared adapter is of a type that cannot be merged.
    """
    if options.domains is None or not domains:
        if options.domains is not None:
            log.warning("lm_finetuning.domains is set, but the catalogue is one domain: it has the one adapter")
        return tune(data, options, seed)
    with deterministic():
        shared = Tuning(data, options, seed)
        if not mergeable(shared.best, options.encoder):
            raise ConfigurationError(
                f"lm_finetuning.domains needs a shared adapter that can be merged, which peft_type = "
                f"{options.peft.peft_type} cannot: choose another type, such as LORA, or set domains to null."
            )
        shared.run()
        trainings = [shared]
        start, read = _start_of(shared)
        for number, (name, items) in enumerate(domains.items()):
            part = data.of_items(items)
            if part.trainable.sum() < options.batch_size:
                n = int(part.trainable.sum())
                log.warning(
                    "Domain %s: %d items to tune on, fewer than a batch: it has the shared adapter alone", name, n
                )
                continue
            tuning = Tuning(part, options.of_domain(number), seed, replace(start, beside=_beside(shared, items, read)))
            tuning.run()
            trainings.append(tuning)
            log.info("Domain %s: epoch %d of its adapter is the best", name, tuning.best.provenance["epoch"])
            if tuning.best.provenance["epoch"]:
                start = replace(start, adapter=_with_domain(start.adapter, name, tuning))
                tokens = shared.whole.take(np.flatnonzero(items))
                read[items] = unit_rows(_encode(start.adapter, name, tokens, options) - start.centre)
        for training in trainings:
            training.clear()
        return start.adapter, shared.history


def _start_of(shared: Tuning) -> tuple[Start, Floats]:
    """Return what the adapters of domains start from, and the embeddings (n_items, m) by the shared one."""
    pooled = _encode(shared.best, "", shared.whole, shared.options)
    centre = pooled[shared.rows].mean(axis=0)
    read = unit_rows(pooled - centre)
    nothing = Landmarks(read[:0], shared.data.item_factors[:0])
    return Start(shared.best, centre, shared.fit_head(read[shared.rows]), nothing), read


def _beside(shared: Tuning, items: Mask, read: Floats) -> Landmarks:
    """Return trainable items of the other domains, those with most interactions, no more than ``kernel.items``."""
    others = shared.rows[~items[shared.rows]]
    most = others[np.argsort(-shared.counts[others], kind="stable")[: shared.options.objective.kernel.items]]
    return Landmarks(read[most], shared.data.item_factors[most])


def _with_domain(adapter: Adapter, name: str, tuning: Tuning) -> Adapter:
    """Return an adapter with that of one domain more; its history is told in its provenance."""
    rows = [{key: None if math.isnan(value) else value for key, value in row.items()} for row in tuning.history]
    part = replace(tuning.best, provenance=tuning.best.provenance | {"domain": name, "history": rows})
    return replace(adapter, domains=adapter.domains | {name: part})


def _encode(adapter: Adapter, domain: str, tokens: Tokens, options: LMOptions) -> Floats:
    """Encode texts by the shared adapter and that of a domain; pooled (n, m)."""
    encoder = attach_domain(load_base(options.encoder), adapter, domain, options.encoder)
    label = f"encode {domain or 'tuned'}"
    return encode(encoder, tokens, options.encoder.batch_size, label, options.encoder.pooling)


def pooled_by_domain(adapter: Adapter, tokens: Tokens, options: LMOptions, domains: Mapping[str, Mask]) -> Floats:
    """Encode a catalogue, each item by the adapter of its domain; (n_items, m), pooled and not yet normalised.

    Args:
        adapter: with those of domains.
        tokens: of the items' texts.
        options: of the encoder.
        domains: items (n_items,) by name of the domain.
    """
    names = [name for name in adapter.domains if name in domains]
    shared = ~np.any([domains[name] for name in names], axis=0) if names else np.ones(len(tokens.ids), bool)
    rows = [np.flatnonzero(items) for items in (shared, *(domains[name] for name in names))]
    parts = [_encode(adapter, name, tokens.take(some), options) for name, some in zip(["", *names], rows, strict=True)]
    order = np.argsort(np.concatenate(rows))
    return np.concatenate([part for part in parts if len(part)])[order]
