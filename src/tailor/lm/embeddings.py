"""Embeddings of a catalogue, with their provenance and the whitening that makes more of them."""

import logging
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tailor import columns as c
from tailor.data.item_vectors import TEXT, centres_of, join_parts, missing_counts, parts_of
from tailor.errors import BadInputError
from tailor.lm.config import LMOptions
from tailor.lm.encoder import Tokens, encode
from tailor.lm.whitening import Whitening
from tailor.types import JsonObject

log = logging.getLogger(__name__)
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Embeddings:
    """One L2-normalised row per id."""

    ids: NDArray[np.object_]
    """(n,), strings."""
    vectors: Floats
    """(n, m)."""
    whitening: Whitening
    """From pooled states to rows; apply it to a new text's."""
    provenance: JsonObject = field(default_factory=dict)
    """Base model, its hash, data hash, options, seed."""
    centres: dict[str, Floats] = field(default_factory=dict)
    """Mean of each vector column that is joined to the texts, by name."""

    @classmethod
    def none(cls) -> "Embeddings":
        """Return what stands for embeddings of an encoder that is left out."""
        return cls(np.zeros(0, object), np.zeros((0, 0), np.float32), Whitening(np.zeros(0, np.float32)))

    @property
    def is_empty(self) -> bool:
        """Whether the encoder is left out."""
        return not len(self.ids)

    @property
    def dimensions(self) -> dict[str, int]:
        """Numbers of each part of a row, by name, the text first; none where rows are texts alone."""
        of_vectors = {name: len(centre) for name, centre in self.centres.items()}
        return {TEXT: self.vectors.shape[1] - sum(of_vectors.values())} | of_vectors if of_vectors else {}

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            BadInputError: there is not one row per id.
        """
        if len(self.ids) != len(self.vectors):
            raise BadInputError(f"{len(self.ids)} ids, but {len(self.vectors)} embeddings")


def embed_catalogue(
    encoder: torch.nn.Module,
    tokens: Tokens,
    items: pd.DataFrame,
    fitted_on: NDArray[np.bool_],
    options: LMOptions,
    provenance: JsonObject,
    label: str,
) -> Embeddings:
    """Encode every item; centring and whitening are fitted on the items ``fitted_on`` (n_items,) alone."""
    pooled = encode(encoder, tokens, options.encoder.batch_size, label, options.encoder.pooling)
    return embed_pooled(pooled, items, fitted_on, options, provenance)


def embed_pooled(
    pooled: Floats, items: pd.DataFrame, fitted_on: NDArray[np.bool_], options: LMOptions, provenance: JsonObject
) -> Embeddings:
    """Make embeddings of pooled states (n_items, m), whichever encoder each item was read by; see above."""
    whitening = Whitening.fit(pooled, fitted_on, options.whitening, options.whitening_shrinkage)
    texts, centres = whitening.apply(pooled), centres_of(items, fitted_on)
    vectors = join_parts([texts, *(parts_of(items[name], centre) for name, centre in centres.items())])
    for name, count in missing_counts(items).items():
        if count:
            log.warning(
                "%s: %d of %d items have no vector; they are known by their other parts", name, count, len(items)
            )
    return Embeddings(items[c.ITEM].to_numpy(dtype=object), vectors, whitening, provenance, centres)
