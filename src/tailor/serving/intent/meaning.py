"""Which categories a free text is about, by descriptions of them; and whether it is about any."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tailor.data.vocabulary import tokenise
from tailor.linear_algebra import unit_rows
from tailor.lm.sentence_encoder import SentenceEncoder

Floats = NDArray[np.float32]
#: Random texts that the threshold is taken from, and the share of them that stay below it.
_RANDOM, _SHARE, _SHARE_OF_ITEMS = 100, 0.95, 0.99
#: Cosines so far apart differ e-fold in their share; beside an encoder of its own for words, a share of the threshold.
_TEMPERATURE, _RELATIVE_TEMPERATURE = 0.05, 0.2
#: Signs of Chinese, which random texts are also of where the encoder reads other languages.
_CJK = range(0x4E00, 0x9FA6)


class EncodesTexts(Protocol):
    """From texts to rows of an embedding space."""

    def encode(self, texts: list[str]) -> Floats:
        """Return L2-normalised rows (n, m)."""
        ...


@runtime_checkable
class ReadsDomains(EncodesTexts, Protocol):
    """An encoder that reads texts of some domains in a way of their own."""

    @property
    def domains(self) -> Mapping[str, object]:
        """What it has for each of these domains, by name."""
        ...

    def of_domain(self, name: str) -> EncodesTexts:
        """Return the encoder of a domain; itself for one that is not among them."""
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
    temperature: float = _TEMPERATURE
    """Cosines so far apart differ e-fold in their share."""
    centred: bool = False
    """Whether a cosine counts by how far it is above the text's mean over all descriptions, or items."""

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
        texts = _described(names, descriptions)
        if not texts:
            return cls(encoder, np.zeros((0, 1), np.float32), -np.inf)
        prototypes = encoder.encode(texts)
        null = random_texts(texts)
        closest = (encoder.encode(null) @ prototypes.T).max(axis=1)
        of_items = np.inf if nearest_item is None else float(np.quantile(nearest_item(null), _SHARE_OF_ITEMS))
        return cls(encoder, prototypes, float(np.quantile(closest, _SHARE)), of_items)

    @classmethod
    def of_other(
        cls,
        encoder: SentenceEncoder,
        names: Sequence[str],
        descriptions: Mapping[str, str],
        items: Floats,
    ) -> "Meaning":
        """Encode descriptions by an encoder that is not the run's own, and take thresholds and temperature from it.

        Every two texts are near each other to encoders of the kind of E5: what counts is how far a cosine is above the
        text's mean. A description is read as a whole and phrase by phrase; its row is the sum of both.

        Args:
            encoder: of texts in several languages.
            names: of the categories (C,).
            descriptions: of categories by name; one without is described by its name.
            items: the items' texts in the encoder's space (n_items, m).
        """
        texts = _described(names, descriptions)
        if not texts:
            return cls(encoder, np.zeros((0, 1), np.float32), -np.inf)
        whole = encoder.encode_passages(texts)
        of_phrases = [encoder.encode_passages(_phrases(name, descriptions)).mean(axis=0) for name in names]
        prototypes = unit_rows(whole + unit_rows(np.stack(of_phrases)))
        null = encoder.encode([*random_texts(texts), *random_texts([chr(sign) for sign in _CJK], words=1)])
        threshold = float(np.quantile(centred(null @ prototypes.T).max(axis=1), _SHARE))
        of_items = float(np.quantile(centred(null @ items.T).max(axis=1), _SHARE_OF_ITEMS)) if len(items) else np.inf
        temperature = max(_RELATIVE_TEMPERATURE * threshold, 1e-6)
        return cls(encoder, prototypes, threshold, of_items, temperature, centred=True)

    def near_items(self, cosine: Floats) -> NDArray[np.bool_]:
        """Return which texts (n,) come nearer to an item than random ones do, by their cosines (n_items, n)."""
        counted = centred(cosine.T).T if self.centred else cosine
        return np.asarray(counted.max(axis=0) > self.item_threshold)

    def read(self, texts: list[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Read texts.

        Returns:
            How much of each text is of each category (n, C), rows summing to 1 or, of a text about none, to 0; and
            whether it is about any (n,): all are where there are no categories.
        """
        known = len(self.prototypes) > 0
        return self.read_rows(self.encoder.encode(texts) if known else np.zeros((len(texts), 1), np.float32))

    def read_rows(self, rows: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Read texts by their rows (n, m) in the encoder's space; see :meth:`read`."""
        if not len(self.prototypes):
            return np.zeros((len(rows), 0), np.float32), np.ones(len(rows), dtype=bool)
        cosine = rows @ self.prototypes.T
        cosine = centred(cosine) if self.centred else cosine
        about = cosine.max(axis=1) > self.threshold
        shares = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / self.temperature)
        shares *= about[:, None] / shares.sum(axis=1, keepdims=True)
        return np.asarray(shares, dtype=np.float32), about


def centred(cosine: Floats) -> Floats:
    """Return how far the cosines of each row (n, C) are above the row's mean."""
    return np.asarray(cosine - cosine.mean(axis=1, keepdims=True), dtype=np.float32)


def _described(names: Sequence[str], descriptions: Mapping[str, str]) -> list[str]:
    return [f"{name}: {descriptions[name]}" if name in descriptions else name for name in names]


def _phrases(name: str, descriptions: Mapping[str, str]) -> list[str]:
    """Split a category's description at commas and "and"; its name is one phrase more."""
    phrases = descriptions.get(name, "").replace(" and ", ",").split(",")
    return [*(phrase.strip() for phrase in phrases if phrase.strip()), name]


def random_texts(texts: Sequence[str], seed: int = 0, words: int = 4) -> list[str]:
    """Return texts of one to four words (``words``) of random letters, those that ``texts`` are written with."""
    letters = sorted({sign for text in texts for token in tokenise(text) for sign in token.word if sign.isalpha()})
    rng = np.random.default_rng(seed)
    return [
        " ".join("".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(rng.integers(1, words + 1)))
        for _ in range(_RANDOM if letters else 0)
    ] or [""]
