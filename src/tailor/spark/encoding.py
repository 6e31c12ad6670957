"""Texts to pooled states of the base model, in tasks: each Python worker reads the model once."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tailor import columns as c
from tailor.lm.config import EncoderOptions
from tailor.models.base import Floats
from tailor.types import AnyArray

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Texts that a task encodes at a time; batches of like length are cut out of them.
_AT_ONCE = 2048
_POOLED, _PLACE = "pooled", "place"


def encode(spark: "SparkSession", texts: pd.Series, options: EncoderOptions, n_tasks: int) -> Floats:
    """Encode texts with the base model as it is.

    Args:
        spark: the session; its workers need the base model, as a package or a path that each can read.
        texts: of the items (n,).
        options: base model, pooling, longest text, batch size.
        n_tasks: tasks that share the texts.

    Returns:
        Pooled states (n, m) in the order of the texts: those of :func:`tailor.lm.encoder.encode_base`, but that a text
        is padded to the length of others, which shows in the last digits of bf16.
    """
    from pyspark.ml.functions import predict_batch_udf  # noqa: PLC0415  (an extra)
    from pyspark.sql.types import ArrayType, FloatType  # noqa: PLC0415

    if not len(texts):
        return np.zeros((0, 0), np.float32)
    table = spark.createDataFrame(pd.DataFrame({_PLACE: np.arange(len(texts)), c.TEXT: texts.to_numpy(dtype=object)}))
    read = predict_batch_udf(lambda: _reader(options), return_type=ArrayType(FloatType()), batch_size=_AT_ONCE)
    encoded = table.repartition(n_tasks, _PLACE).select(_PLACE, read(c.TEXT).alias(_POOLED)).toPandas()
    encoded = encoded.sort_values(_PLACE)
    return np.stack([np.asarray(row, dtype=np.float32) for row in encoded[_POOLED]])


def _reader(options: EncoderOptions) -> Callable[[AnyArray], AnyArray]:
    """Read the base model; return what encodes texts (b,) to (b, m) on one core."""
    import torch  # noqa: PLC0415  (on the worker)

    from tailor.lm.encoder import encode as encode_tokens  # noqa: PLC0415
    from tailor.lm.encoder import load_base, tokenise  # noqa: PLC0415

    torch.set_num_threads(1)
    model = load_base(options)

    def read(texts: AnyArray) -> AnyArray:
        tokens = tokenise([str(text) for text in texts], options)
        return encode_tokens(model, tokens, options.batch_size, pooling=options.pooling)

    return read
