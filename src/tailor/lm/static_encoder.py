"""A table of token vectors instead of a language model: for machines without torch, or without the time for it.

An embedding is the mean of the vectors of a text's tokens, scaled to length 1. :mod:`tailor.lm.distill` distils the
table from the tuned encoder.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from tailor.lm.config import EncoderWeights

_TABLE, _TOKENS = "table.safetensors", "tokenizer.json"


@dataclass
class StaticEncoder:
    """From texts to embeddings, close to those of the tuned encoder it was distilled from.

    Example:
        >>> StaticEncoder.load(Path("model/student")).encode(["a slow space opera"]).shape
        (1, 384)
    """

    table: NDArray[np.float16]
    """One row per token id (V, m)."""
    tokens: str
    """The tokenizer, as JSON of the library ``tokenizers``."""

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # noqa: PLC0415  (words only)

        tokenizer = Tokenizer.from_str(self.tokens)
        tokenizer.no_padding()
        return tokenizer

    def ids(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts (n,), none of them special."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(texts, add_special_tokens=False)]

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return rows (n, m) of length 1 for texts (n,); a text without known tokens is a row of zeros."""
        embeddings = np.zeros((len(texts), self.table.shape[1]), np.float32)
        for row, ids in enumerate(self.ids(texts)):
            if ids:
                mean = self.table[ids].astype(np.float32).mean(axis=0)
                embeddings[row] = mean / (float(np.linalg.norm(mean)) or 1.0)
        return embeddings

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:  # noqa: ARG002
        """Write the table (fp16) and the tokenizer."""
        folder.mkdir(parents=True)
        save_file({"table": np.ascontiguousarray(self.table)}, folder / _TABLE)
        (folder / _TOKENS).write_text(self.tokens)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        with safe_open(folder / _TABLE, framework="np") as file:
            table = file.get_tensor("table")
        return cls(table, json.dumps(json.loads((folder / _TOKENS).read_text())))
