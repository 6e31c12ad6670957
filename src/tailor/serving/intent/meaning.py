"""Which categories a free text is about, by descriptions of them; and whether it is about any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tailor.data.vocabulary import tokenise

Floats = NDArray[np.float32]
#: Random texts that the threshold is taken from, and the share of them that stay below it.
_RANDOM, _SHARE, _SHARE_OF_ITEMS = 100, 0.95, 0.99
#: Cosines so far apart differ e-fold in their share.
_TEMPERATURE = 0.05


class EncodesTexts(Protocol):
    """From texts to rows of an embedding space."""

    def encode(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m)."""
        ...


@dataclass(frozen=True)
class Meaning:
    """Descriptions of a catalogue's categories in an encoder's space."""

    encoder: EncodesTexts
    prototypes: Floats
    """One row per category (C, m)."""
    threshold: float
    """Cosine with the nearest description that random texts stay below."""
    item_threshold: float = np.inf
    """Cosine with the nearest item that random texts stay below."""

    @classmethod
    def of(
        cls,
        encoder: EncodesTexts,
        names: Sequence[str],
        descriptions: Mapping[str, str],
        nearest_item: Callable[[list[str]], Floats] | None = None,
    ) -> "Meaning":
        """Encode a description of each category, and as many random texts as the threshold needs.

        Args:
            encoder: of texts; the base model reads free text better than one that was tuned on a catalogue.
            names: of the categories (C,).
            descriptions: of categories by name; one without is described by its name.
            nearest_item: from texts (n,) to their cosines with the nearest item (n,).
        """
        texts = [f"{name}: {descriptions[name]}" if name in descriptions else name for name in names]
        if not texts:
            return cls(encoder, np.zeros((0, 1), np.float32), -np.inf)
        prototypes = encoder.encode(texts)
        null = random_texts(texts)
        closest = (encoder.encode(null) @ prototypes.T).max(axis=1)
        of_items = np.inf if nearest_item is None else float(np.quantile(nearest_item(null), _SHARE_OF_ITEMS))
        return cls(encoder, prototypes, float(np.quantile(closest, _SHARE)), of_items)

    def read(self, texts: list[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Read texts.

        Returns:
            How much of each text is of each category (n, C), rows summing to 1 or, of a text about none, to 0; and
            whether it is about any (n,): all are where there are no categories.
        """
        if not len(self.prototypes):
            return np.zeros((len(texts), 0), np.float32), np.ones(len(texts), dtype=bool)
        cosine = self.encoder.encode(texts) @ self.prototypes.T
        about = cosine.max(axis=1) > self.threshold
        shares = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / _TEMPERATURE)
        shares *= about[:, None] / shares.sum(axis=1, keepdims=True)
        return np.asarray(shares, dtype=np.float32), about


def random_texts(texts: Sequence[str], seed: int = 0) -> list[str]:
    """Return texts of one to four words of random letters, those that ``texts`` are written with."""
    letters = sorted({sign for text in texts for token in tokenise(text) for sign in token.word if sign.isalpha()})
    rng = np.random.default_rng(seed)
    return [
        " ".join("".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(rng.integers(1, 5)))
        for _ in range(_RANDOM if letters else 0)
    ] or [""]
