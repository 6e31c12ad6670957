"""The base language model at work: tokenising once, length-sorted batches, pooling."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tailor.lm import ranks
from tailor.lm.base_model import read_model, read_tokenizer
from tailor.lm.config import EncoderOptions
from tailor.progress import progress

log = logging.getLogger(__name__)
Batch = dict[str, torch.Tensor]


def device() -> torch.device:
    """Return CUDA where present, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast() -> contextlib.AbstractContextManager[Any]:
    """Return bf16 autocast where the hardware multiplies bf16 natively, else a no-op (fp32)."""
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return torch.autocast("cuda", dtype=torch.bfloat16)
    if not torch.cuda.is_available() and _has_bf16_units():
        return torch.autocast("cpu", dtype=torch.bfloat16)
    return contextlib.nullcontext()


def _has_bf16_units() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def slowness() -> float:
    """Return how many times as long texts take here as on a processor with bf16 units, about; 1 beside a GPU.

    Measured by hand: the texts of anime, frozen, took 31 s on two cores with AVX2 alone, where 9 s were expected (27
    November 2026); with AVX-512 alone, tuning took about twice as long.
    """
    if torch.cuda.is_available() or _has_bf16_units():
        return 1.0
    return 2.0 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 3.5


@dataclass(frozen=True)
class Tokens:
    """Token ids of a corpus, without padding."""

    ids: list[list[int]]
    """One list per text."""
    pad: int
    """Id that fills up a batch."""
    n_truncated: int
    """Texts that were longer than max_length."""
    mask: int | None = None
    """Id of the mask token, None where the tokenizer has none."""
    special: tuple[int, ...] = ()
    """Ids that are never masked."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Pad the texts ``rows`` (B,) to the longest of them: input_ids and attention_mask, (B, T)."""
        chosen = [self.ids[row] for row in rows]
        lengths = np.array([len(ids) for ids in chosen])
        real = np.arange(max(lengths.max(), 1)) < lengths[:, None]
        ids = np.full(real.shape, self.pad, dtype=np.int64)
        ids[real] = np.concatenate(chosen)
        # A text without tokens is one padding token that counts: a mean over nothing has no value.
        real[lengths == 0, 0] = True
        filled, mask = torch.from_numpy(ids), torch.from_numpy(real.astype(np.int64))
        return {"input_ids": filled.to(device()), "attention_mask": mask.to(device())}

    def take(self, rows: NDArray[np.int64]) -> "Tokens":
        """Return some of the texts (n,)."""
        return replace(self, ids=[self.ids[row] for row in rows])

    def lengths(self) -> NDArray[np.int64]:
        """Return tokens per text, shape (n,)."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


def load_base(options: EncoderOptions) -> torch.nn.Module:
    """Load the base model in eval mode, fp32, as :func:`tailor.lm.base_model.read_model` does.

    The pooling layer of BERT's kin is left out: nothing here reads it, so an adapter on it would get no gradient.
    """
    model = read_model(options)
    if isinstance(getattr(model, "pooler", None), torch.nn.Module):
        model.pooler = None  # type: ignore[assignment]
    return model.to(device())


def tokenise(texts: list[str], options: EncoderOptions) -> Tokens:
    """Tokenise a corpus once; how many texts were cut is counted and logged."""
    tokenizer = read_tokenizer(options)
    full = tokenizer(texts, truncation=False, verbose=False)["input_ids"]
    n_truncated = sum(len(ids) > options.max_length for ids in full)
    ids = tokenizer(texts, truncation=True, max_length=options.max_length)["input_ids"]
    if n_truncated:
        log.warning("%d of %d texts are cut at %d tokens", n_truncated, len(texts), options.max_length)
    special = tuple(sorted(set(tokenizer.all_special_ids)))
    return Tokens(ids, tokenizer.pad_token_id or 0, n_truncated, tokenizer.mask_token_id, special)


def hidden_states(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return the last hidden states of the text's tokens, (B, T, m), fp32; virtual tokens are left out."""
    with autocast():
        hidden = model(**batch).last_hidden_state
    return hidden[:, -batch["input_ids"].shape[1] :].float()  # type: ignore[no-any-return]


def pool(model: torch.nn.Module, batch: Batch, pooling: str = "mean") -> torch.Tensor:
    """Return one vector per text, (B, m), fp32: the mean over real tokens, or the first or last one's state."""
    hidden, mask = hidden_states(model, batch), batch["attention_mask"]
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)  # whichever side is padded
        return hidden[torch.arange(len(hidden), device=hidden.device), last]
    weights = mask.unsqueeze(-1).to(torch.float32)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


def length_sorted(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches of rows of nearly equal length, longest first, so that little padding is computed."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@torch.inference_mode()
def encode(
    model: torch.nn.Module, tokens: Tokens, batch_size: int, label: str = "encode", pooling: str = "mean"
) -> NDArray[np.float32]:
    """Encode a corpus to (n, m) pooled embeddings, not yet normalised, in the order of the texts."""
    model.eval()
    embeddings: NDArray[np.float32] | None = None
    batches = list(length_sorted(tokens.lengths(), batch_size))
    for rows in progress(ranks.shares(batches), label, "batch"):
        pooled = pool(model, tokens.batch(rows), pooling).cpu().numpy()
        if embeddings is None:
            embeddings = np.zeros((len(tokens.ids), pooled.shape[1]), dtype=np.float32)
        embeddings[rows] = pooled
    return np.zeros((0, 0), np.float32) if embeddings is None else ranks.join_shares(embeddings, len(batches))


def encode_base(tokens: Tokens, options: EncoderOptions, label: str) -> NDArray[np.float32]:
    """Encode a corpus with the base model as it is, to (n, m) pooled embeddings."""
    return encode(load_base(options), tokens, options.batch_size, label, options.pooling)
