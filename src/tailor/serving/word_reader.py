"""The encoder of the words of requests, and the catalogue's items in its space.

It is the base model as it was before the adapter, whose weights stand in the package already, or another encoder.

| file of a package | holds |
|---|---|
| words/words.json | name of the encoder, empty for the base model; version of the package that carries it; prefixes |
| words/items.safetensors | the items' texts as the encoder reads them (n_items, m), fp16 |
| words/encoder/ | another encoder itself, where no installed package carries it |
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tailor.appending import append
from tailor.errors import BadInputError
from tailor.lm.config import EncoderWeights
from tailor.lm.sentence_encoder import (
    PACKAGES,
    Prefixed,
    SentenceEncoder,
    not_installed,
    package_encoder,
    package_version,
)
from tailor.models.base import Floats, Indices
from tailor.models.store import map_arrays

log = logging.getLogger(__name__)
ENCODER = "encoder"
#: Stands for the base model where the name of an encoder stands.
BASE = ""
_ABOUT, _ITEMS, _VECTORS = "words.json", "items.safetensors", "items"


@dataclass(frozen=True)
class WordReader:
    """Reads words of requests in another space than that of the model's own embeddings of items."""

    about: dict[str, str]
    """encoder: its name, or ``BASE``; version: of its package, empty where none carries it; query_prefix and
    passage_prefix."""
    items: NDArray[np.float16]
    """The items' texts (n_items, m)."""
    encoder_of: Callable[[], SentenceEncoder]
    """Makes the encoder when it is first needed."""
    refused: str = ""
    """Why words are refused; empty where they are not."""

    @classmethod
    def of(cls, about: dict[str, str], encoder: SentenceEncoder, texts: list[str]) -> Self:
        """Encode the items' texts (n_items,)."""
        return cls(about, encoder.encode_passages(texts).astype(np.float16), lambda: encoder)

    @property
    def is_base(self) -> bool:
        """Whether words are read by the base model that the package holds."""
        return self.about["encoder"] == BASE

    @property
    def encoder(self) -> SentenceEncoder:
        """The encoder of words.

        Raises:
            BadInputError: what it needs is not installed.
        """
        if self.refused:
            raise BadInputError(self.refused)
        return self.encoder_of()

    @cached_property
    def features(self) -> Floats:
        """The items' texts (n_items, m), in single precision."""
        return self.items.astype(np.float32)

    def with_new_items(self, texts: list[str]) -> "WordReader":
        """Return a reader that knows more items, by their texts (a,)."""
        encoded = self._encoded(texts)
        grown = replace(self, items=append(self.items, encoded))
        if "features" in self.__dict__:
            grown.__dict__["features"] = append(self.features, encoded.astype(np.float32))
        return grown

    def with_texts(self, rows: Indices, texts: list[str]) -> "WordReader":
        """Return a reader that knows other texts (a,) of items, by their internal ids (a,)."""
        items = np.array(self.items)
        items[rows] = self._encoded(texts)
        return replace(self, items=items)

    def _encoded(self, texts: list[str]) -> NDArray[np.float16]:
        """Encode texts; where the encoder is not there no words come in, and zeros are as good."""
        if self.refused:
            log.warning("%s Words are not compared with the new texts of %d items.", self.refused, len(texts))
            return np.zeros((len(texts), self.items.shape[1]), np.float16)
        return self.encoder.encode_passages(texts).astype(np.float16)

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write a folder, with the encoder where no installed package carries it."""
        folder.mkdir(parents=True)
        save_file({_VECTORS: np.ascontiguousarray(self.items)}, folder / _ITEMS)
        (folder / _ABOUT).write_text(json.dumps(self.about, indent=2))
        encoder = None if self.is_base or self.about["encoder"] in PACKAGES else self.encoder
        if isinstance(encoder, Prefixed):
            encoder.save(folder / ENCODER, weights)

    @classmethod
    def load(
        cls,
        folder: Path,
        load_encoder: Callable[[Path], Prefixed],
        lacking: str,
        base_of: Callable[[], SentenceEncoder] | None = None,
    ) -> Self | None:
        """Read what :meth:`save` wrote; the encoder is loaded when words first come in.

        Args:
            folder: that was written.
            load_encoder: loads another encoder that stands in the package.
            lacking: why that one cannot be loaded here; empty where it can.
            base_of: makes the base model of the package; None: it is not there, or a token table stands in for it.

        Returns:
            None where the base model should read words and is not there: they are read as the items' embeddings are.
        """
        about: dict[str, str] = json.loads((folder / _ABOUT).read_text())
        items, name = map_arrays(folder / _ITEMS)[_VECTORS], about["encoder"]
        if name == BASE:
            return None if base_of is None else cls(about, items, cache(base_of))
        if name in PACKAGES:
            return cls(about, items, cache(lambda: package_encoder(name)), _refused(name, about["version"]))

        def load() -> SentenceEncoder:
            return replace(
                load_encoder(folder / ENCODER),
                query_prefix=about["query_prefix"],
                passage_prefix=about["passage_prefix"],
            )

        return cls(about, items, cache(load), lacking)


def _refused(name: str, version: str) -> str:
    """Say why a package cannot read words: it is not installed, or its version reads texts otherwise."""
    missing, installed = not_installed(name), package_version(name)
    if missing or installed == version:
        return missing
    return (
        f"The items of this model were read by {name} {version}, and {installed or 'an unknown version'} is installed: "
        f"pip install {name}=={version}."
    )
