"""Views of a text for training: pieces dropped, tokens masked, embeddings perturbed."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch

from tailor.lm.encoder import Batch, Tokens


def drop_pieces(pieces: list[list[str]], chance: float, rng: np.random.Generator) -> list[str]:
    """Write one view of every item: each piece is left out with ``chance``, but one always stays.

    Attribute drop, as in LLMEmb (Liu et al. 2024, §3.2): what is left must tell the item by itself.
    """
    views = []
    for row in pieces:
        stays = rng.random(len(row)) >= chance
        if len(row) and not stays.any():
            stays[rng.integers(len(row))] = True
        views.append(". ".join(piece for piece, stay in zip(row, stays, strict=True) if stay))
    return views


def mask_tokens(batch: Batch, tokens: Tokens, chance: float, generator: torch.Generator) -> tuple[Batch, torch.Tensor]:
    """Replace each ordinary token by the mask token with ``chance``.

    Returns:
        The masked batch, and which positions were masked, (B, T).
    """
    ids = batch["input_ids"]
    ordinary = batch["attention_mask"].bool()
    for special in tokens.special:
        ordinary &= ids != special
    drawn = torch.rand(ids.shape, generator=generator).to(ids.device) < chance
    masked = drawn & ordinary
    return batch | {"input_ids": ids.masked_fill(masked, tokens.pad if tokens.mask is None else tokens.mask)}, masked


class EmbeddingPerturbation:
    """The fast gradient method on token embeddings (Miyato et al. 2017, eq. 5): x + ε |x| g / |g| per text."""

    def __init__(self, embedding: torch.nn.Module) -> None:
        self._embedding = embedding
        self._seen: torch.Tensor | None = None

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Keep the gradient at the embeddings of the pass inside the block."""

        def hook(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
            self._seen = output if output.requires_grad else output.requires_grad_()
            self._seen.retain_grad()
            return self._seen

        with self._hooked(hook):
            yield

    @contextlib.contextmanager
    def perturb(self, epsilon: float) -> Iterator[None]:
        """Move the embeddings of the pass inside the block along the gradient of the watched one."""
        if self._seen is None or self._seen.grad is None:
            raise RuntimeError("perturb() comes after a backward pass inside watch()")
        gradient, length = self._seen.grad, self._seen.detach().norm(dim=(1, 2), keepdim=True)
        step = epsilon * length * gradient / gradient.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
        self._seen = None
        with self._hooked(lambda _module, _inputs, output: output + step):
            yield

    @contextlib.contextmanager
    def _hooked(self, hook: object) -> Iterator[None]:
        handle = self._embedding.register_forward_hook(hook)  # type: ignore[arg-type]
        try:
            yield
        finally:
            handle.remove()
