"""The encoders that a package carries, so that words of a request can be read where the model is served."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from tailor.data.item_metadata import ItemMetadata
from tailor.errors import ConfigurationError
from tailor.lm.base_model import UnreadableModelError
from tailor.lm.config import EncoderOptions
from tailor.lm.distill import distil
from tailor.lm.peft import Adapter, mergeable
from tailor.lm.sentence_encoder import PACKAGES, Prefixed, SentenceEncoder, package_encoder, package_version
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening
from tailor.options import TUNED, WordsOptions
from tailor.serving.word_reader import BASE, WordReader

#: Longest text of an item in tokens, of another encoder for words.
_MAX_LENGTH = 256


@dataclass(frozen=True)
class Encoders:
    """What turns words into embeddings where the model is served; none where an adapter cannot be merged."""

    encoder_of: Callable[[], TextEncoder] | None = None
    student: StaticEncoder | None = None
    word_reader: WordReader | None = None
    """The base model, or another encoder, for the words of requests; None: the model's own encoder reads them."""
    vectors: dict[str, list[float]] = field(default_factory=dict)
    """Mean of each column of vectors that items have beside texts, by name."""


def package_encoders(
    metadata: ItemMetadata,
    adapter: Adapter | None,
    whitening: Whitening,
    encoder: EncoderOptions,
    student_tokens: int,
    seed: int,
) -> Encoders:
    """Merge an adapter into its encoder, and distil the token table of machines without torch.

    Args:
        metadata: whose texts and categories the token table must know.
        adapter: of the tuned encoder; None for the frozen one.
        whitening: of the space that the served model's embeddings are in.
        encoder: the base model.
        student_tokens: tokens of the table beside those of the catalogue.
        seed: of the distillation.
    """
    if adapter is not None and not mergeable(adapter, encoder):
        return Encoders()
    merge = cache(lambda: TextEncoder.merge(adapter, whitening, encoder))
    texts = metadata.texts + [piece for row in metadata.pieces for piece in row]
    texts += [" ".join(row).lower() for row in metadata.categories]
    texts += [name.lower() for name in metadata.vocabulary.names]
    return Encoders(merge, distil(merge(), texts, student_tokens, seed))


def read_items(
    metadata: ItemMetadata, options: WordsOptions, encoder_of: Callable[[], TextEncoder] | None = None
) -> WordReader | None:
    """Encode the items' texts for the words of requests: by the base model of a tuned encoder, or by another encoder.

    Args:
        metadata: of the items.
        options: which encoder, and its prefixes.
        encoder_of: makes the model's own encoder.

    Returns:
        None where words are read by the model's own encoder: ``words.encoder`` says so, the encoder is not tuned, or
        its base model cannot be told from the adapter.

    Raises:
        ConfigurationError: transformers cannot read what is named.
    """
    if options.encoder is None:
        return _read_by_base(metadata, encoder_of)
    if options.encoder == TUNED:
        return None
    about = {
        "encoder": options.encoder,
        "version": package_version(options.encoder) if options.encoder in PACKAGES else "",
        "query_prefix": options.query_prefix,
        "passage_prefix": options.passage_prefix,
    }
    return WordReader.of(about, sentence_encoder(options), metadata.texts)


def _read_by_base(metadata: ItemMetadata, encoder_of: Callable[[], TextEncoder] | None) -> WordReader | None:
    """Encode the items' texts by the base model of a tuned encoder, whose weights the package holds anyway."""
    if encoder_of is None or encoder_of().adapter is None:
        return None
    about = {"encoder": BASE, "version": "", "query_prefix": "", "passage_prefix": ""}
    return WordReader.of(about, Prefixed(encoder_of().base()), metadata.texts)


def sentence_encoder(options: WordsOptions) -> SentenceEncoder:
    """Load the encoder of ``words.encoder``.

    Raises:
        ConfigurationError: transformers cannot read what is named.
    """
    name = str(options.encoder)
    if name in PACKAGES:
        return package_encoder(name)
    nothing = Whitening(np.zeros(1, np.float32))
    try:
        encoder = TextEncoder.merge(None, nothing, EncoderOptions(base_model=name, max_length=_MAX_LENGTH))
    except UnreadableModelError as problem:
        raise ConfigurationError(
            f"words.encoder = '{name}': {problem.reason} Or a package ({', '.join(PACKAGES)})."
        ) from None
    return Prefixed(encoder, options.query_prefix, options.passage_prefix)
