"""Embeddings of what users write, by the base model as it is: it reads free text better than a tuned one."""

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.data.user_texts import IS_PRAISE, UserTexts
from tailor.lm.config import EncoderOptions
from tailor.lm.text_encoder import TextEncoder
from tailor.lm.whitening import Whitening


def encode(texts: pd.DataFrame, options: EncoderOptions, max_pieces: int) -> UserTexts:
    """Embed a table of texts; equal ones once.

    Args:
        texts: user, item, is_praise, text, as of :func:`tailor.data.user_texts.write_user_texts`.
        options: base model, longest piece, pooling.
        max_pieces: pieces of a long text that are read.
    """
    if texts.empty:
        return UserTexts.none()
    codes, different = pd.factorize(texts[c.TEXT])
    encoder = TextEncoder.merge(None, Whitening(np.zeros(1, np.float32)), options)
    vectors = encoder.encode_long([str(text) for text in different], max_pieces)
    return UserTexts(
        texts["user"].to_numpy(dtype=np.int64),
        texts["item"].to_numpy(dtype=np.int64),
        texts[IS_PRAISE].to_numpy(dtype=bool),
        np.asarray(codes, dtype=np.int64),
        vectors,
    )
