"""Options that fit the size of a catalogue: factors, epochs, lengths of texts, and what it has no data for."""

import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from tokenizers import Tokenizer

from tailor.onboarding.wording import about
from tailor.types import Parameters

#: Widths of factorizations that are proposed. conf/base is made for 64.
FACTORS: Final = (8, 16, 32, 64, 128, 256, 512)
_BASE_FACTORS: Final = 64
#: Positive interactions that one factor asks for, up to the width of conf/base and beyond; items likewise.
_POSITIVES_PER_FACTOR: Final = {True: 300, False: 1_000}
_ITEMS_PER_FACTOR: Final = 8
#: Share of the cells (users x items) that are positives, from which on the weights of conf/base for all others fit; and
#: what these are multiplied with below it.
_DENSE: Final = 0.01
_ALPHA_SHARES: Final = (1.0, 0.3, 0.1, 0.03)
#: Multiplications and additions of one fit; two cores need about an hour for them.
_MOST_OPERATIONS: Final = 1e14
_SWEEPS: Final = 16
#: Passes of the language model over catalogues of up to so many items.
_EPOCHS: Final = ((3_000, 5), (20_000, 3), (60_000, 2))
#: Tokens of a word where the encoder's own tokenizer is not at hand.
_TOKENS_PER_WORD: Final = 1.5
_PACKAGED: Final = "packaged:"


@dataclass(frozen=True)
class Size:
    """How large a catalogue is."""

    n_users: int
    n_items: int
    n_interactions: int
    n_positives: int
    """Interactions that count."""
    exact: bool
    """Whether all rows were looked at."""

    @property
    def words(self) -> str:
        """The size in words."""
        if self.exact:
            return f"{self.n_interactions:,} interactions of {self.n_users:,} users with {self.n_items:,} items"
        counts = f"{about(self.n_interactions):,} interactions of {about(self.n_users):,} users"
        return f"about {counts} with {about(self.n_items):,} items"


@dataclass(frozen=True)
class SizedOptions:
    """What differs from conf/base for a catalogue of its size."""

    factors: int
    factors_reason: str
    alpha_share: float
    """What ``alpha`` of factorizations is multiplied with; 1: it is that of conf/base."""
    epochs: int
    max_length: int
    max_length_reason: str
    left_out: Mapping[str, str]
    """Sources that are not used, each with the reason."""
    baselines: Sequence[str]
    """Those that are fitted."""
    trials: Mapping[str, list[Parameters]] = field(default_factory=dict)
    """Option sets that replace those of conf/base; empty where those fit."""

    @property
    def searched(self) -> list[int]:
        """Factors that a search chooses from; empty where those of conf/base fit."""
        return [] if self.factors == _BASE_FACTORS else [max(self.factors // 4, 4), self.factors // 2, self.factors]


def read_base(conf: Path) -> Parameters:
    """Return the parameters of conf/base as they are written, top-level keys of all files together."""
    files = sorted((conf / "base").rglob("parameters*/**/*.yml")) + sorted((conf / "base").glob("parameters*.yml"))
    merged: Parameters = {}
    for file in files:
        merged |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return merged


def fit_options(
    size: Size, texts: Sequence[str], review_words: float, has_times: bool, base: Mapping[str, Any]
) -> SizedOptions:
    """Choose the options.

    Args:
        size: of the catalogue.
        texts: some of the items' texts.
        review_words: mean words of what users wrote, 0 without.
        has_times: whether the order of interactions is known.
        base: the parameters of conf/base.
    """
    hybrid, lm, text = base["hybrid_cf"], base["lm_finetuning"], base["feature_engineering"]["text"]
    factors = choose_factors(size)
    left_out = {} if has_times else {"slit": "no times: the order of interactions is not known"}
    reviews = text.get("reviews_per_item", 3) * min(review_words, text.get("review_words", 30))
    lengths = count_tokens(texts, lm["encoder"]["base_model"])
    max_length, reason = choose_max_length(lengths, reviews * _TOKENS_PER_WORD)
    share = choose_alpha_share(size)
    as_base = (factors, share) == (_BASE_FACTORS, 1.0)
    trials = {} if as_base else scale_trials(hybrid["trials"], factors, share, left_out)
    return SizedOptions(
        factors=factors,
        factors_reason=_factors_reason(size, factors),
        alpha_share=share,
        epochs=next((epochs for n_items, epochs in _EPOCHS if size.n_items <= n_items), 1),
        max_length=max_length,
        max_length_reason=reason,
        left_out=left_out,
        baselines=[name for name in hybrid["baselines"] if name not in left_out],
        trials=trials,
    )


def choose_factors(size: Size) -> int:
    """Return the widest factorization that the data can fill and that two cores fit in about an hour.

    Example:
        >>> choose_factors(Size(943, 1_682, 100_000, 100_000, True))
        64
    """

    def fits(factors: int) -> bool:
        of_rows = size.n_positives * factors**2 + (size.n_users + size.n_items) * factors**3 / 3
        filled = size.n_positives >= _POSITIVES_PER_FACTOR[factors <= _BASE_FACTORS] * factors
        return filled and size.n_items >= _ITEMS_PER_FACTOR * factors and _SWEEPS * of_rows <= _MOST_OPERATIONS

    return max(filter(fits, FACTORS), default=FACTORS[0])


def choose_alpha_share(size: Size) -> float:
    """Return what the weight ``alpha`` of cells without interaction is multiplied with, by the share of the others.

    The more items there are for each that somebody took, the more all others weigh together. With 9 of 12,000 taken
    (Amazon Beauty, in a model with Toys, 64 factors) NDCG@10 was .040 at alpha = .01, .032 at .1 and .008 at .3.

    Example:
        >>> choose_alpha_share(Size(22_363, 12_101, 198_502, 198_502, True))
        0.1
    """
    density = size.n_positives / max(size.n_users * size.n_items, 1)
    suited = np.log(max(density, 1e-12) / _DENSE)
    return min(_ALPHA_SHARES, key=lambda share: abs(np.log(share) - suited))


def _factors_reason(size: Size, factors: int) -> str:
    if factors > _BASE_FACTORS:
        return f"{about(size.n_positives):,} positives fill more than the {_BASE_FACTORS} factors of conf/base"
    counts = f"{about(size.n_positives):,} positives with {about(size.n_items):,} items"
    return f"{counts} do not fill the {_BASE_FACTORS} of conf/base"


def scale_trials(
    base: Mapping[str, list[Parameters]], factors: int, share: float, left_out: Mapping[str, str]
) -> dict[str, list[Parameters]]:
    """Return the option sets of conf/base with other factors and weights of cells without interaction.

    Of the factors the first half of the sets has all, the second half of them; those of conf/base stay.

    Args:
        base: option sets by model.
        factors: the larger number.
        share: what the weights are multiplied with. implicit_als has the weight of interactions, which is divided.
        left_out: sources that are not used; the hybrid's option sets lose them.
    """
    scaled: dict[str, list[Parameters]] = {}
    for model in ("implicit_als", "ials", "text_ials", "dropoutnet"):
        sets = base.get(model, [])
        change = 1 / share if model == "implicit_als" else share
        widths = _widths(factors, [place >= len(sets) / 2 for place in range(len(sets))])
        scaled[model] = [_rescaled(options, width, change) for options, width in zip(sets, widths, strict=True)]
    hybrid = [{name: part for name, part in options.items() if name not in left_out} for options in base["hybrid"]]
    # Neighbours in the list differ in one thing more: half of them have half the factors.
    widths = _widths(factors, [place % 2 == 1 for place in range(len(hybrid))])
    scaled["hybrid"] = [
        options | {"ials": _rescaled(options.get("ials", {}), width, share)}
        for options, width in zip(hybrid, widths, strict=True)
    ]
    return scaled


def _widths(factors: int, halved: Sequence[bool]) -> list[int | None]:
    """Return the factors of each option set; None: they stay."""
    if factors == _BASE_FACTORS:
        return [None] * len(halved)
    return [factors // 2 if half else factors for half in halved]


def _rescaled(options: Parameters, factors: int | None, share: float) -> Parameters:
    """Return options of a factorization with other factors, and ``alpha`` times a share."""
    width = {} if factors is None else {"factors": factors}
    alpha = {"alpha": float(f"{options['alpha'] * share:.3g}")} if "alpha" in options else {}
    return width | options | width | alpha


def count_tokens(texts: Sequence[str], base_model: str) -> list[int]:
    """Return how many tokens of the encoder each text has; about, where its tokenizer is not installed.

    Args:
        texts: of items.
        base_model: as in lm_finetuning.encoder.
    """
    if base_model.startswith(_PACKAGED):
        try:
            folder = importlib.resources.files(base_model.removeprefix(_PACKAGED)) / "model"
            tokenizer: Any = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except (ModuleNotFoundError, FileNotFoundError):
            return count_tokens(texts, "")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return [len(encoding.ids) for encoding in tokenizer.encode_batch(list(texts))]
    return [round(_TOKENS_PER_WORD * len(text.split())) + 2 for text in texts]


def choose_max_length(lengths: Sequence[int], of_reviews: float = 0.0) -> tuple[int, str]:
    """Return how many tokens of a text the encoder reads, a multiple of 16 between 32 and 256, and why.

    Args:
        lengths: tokens per text.
        of_reviews: tokens of reviews that join a text.

    Example:
        >>> choose_max_length([10, 20, 30, 40])
        (48, '95 % of the texts looked at have at most 39 tokens')
    """
    most = float(np.quantile(lengths, 0.95)) if len(lengths) else 0.0
    reviews = f", reviews about {of_reviews:.0f} more" if of_reviews else ""
    length = int(np.clip(16 * np.ceil((most + of_reviews) / 16), 32, 256))
    cut = "; longer ones are cut, more tokens cost time" if most + of_reviews > length else ""
    return length, f"95 % of the texts looked at have at most {most:.0f} tokens{reviews}{cut}"
