"""The encoders that a package carries, so that words of a request can be read where the model is served."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tailor.data.item_metadata import ItemMetadata
from tailor.lm.config import EncoderOptions
from tailor.lm.distill import distil
from tailor.lm.peft import Adapter, mergeable
from tailor.lm.static_encoder import StaticEncoder
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening


@dataclass(frozen=True)
class Encoders:
    """What turns words into embeddings where the model is served; none where an adapter cannot be merged."""

    encoder_of: Callable[[], TextEncoder] | None = None
    student: StaticEncoder | None = None


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
    merge = partial(TextEncoder.merge, adapter, whitening, encoder)
    texts = [". ".join(row) for row in metadata.pieces] + [piece for row in metadata.pieces for piece in row]
    texts += [" ".join(row).lower() for row in metadata.categories]
    texts += [name.lower() for name in metadata.vocabulary.names]
    return Encoders(merge, distil(merge(), texts, student_tokens, seed))
