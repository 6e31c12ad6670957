"""Stage (a): the trainable weights of an encoder adapt to the catalogue's language by predicting masked tokens."""

import logging

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812

from tailor.errors import ConfigurationError
from tailor.lm.augment import mask_tokens
from tailor.lm.config import MaskedLMOptions
from tailor.lm.encoder import Tokens, device, hidden_states
from tailor.progress import progress

log = logging.getLogger(__name__)


class _Prediction(torch.nn.Module):
    """BERT's prediction head, tied to the token embeddings (Devlin et al. 2019, §3.1)."""

    def __init__(self, embeddings: torch.Tensor) -> None:
        super().__init__()
        width = embeddings.shape[1]
        self.embeddings: torch.Tensor
        self.transform = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.GELU(), torch.nn.LayerNorm(width))
        self.bias = torch.nn.Parameter(torch.zeros(len(embeddings)))
        self.register_buffer("embeddings", embeddings.detach())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return F.linear(self.transform(states), self.embeddings, self.bias)


def adapt(
    model: torch.nn.Module,
    embeddings: torch.Tensor,
    tokens: Tokens,
    rows: NDArray[np.int64],
    options: MaskedLMOptions,
    batch_size: int,
    seed: int,
) -> list[float]:
    """Train the weights of ``model`` that require gradients on masked tokens of the texts ``rows``.

    Args:
        model: encoder with an adapter (or all weights) trainable; changed in place.
        embeddings: its token embeddings (vocabulary, m), to which the prediction is tied.
        tokens: the corpus.
        rows: texts to read; those of trainable items.
        options: epochs, share of masked tokens, learning rate.
        batch_size: texts per step.
        seed: of masks, order and the head's start.

    Returns:
        Mean loss per epoch, in nats per masked token; none when nothing of the model is trainable.

    Raises:
        ConfigurationError: the tokenizer has no mask token (decoders).
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    if options.epochs == 0 or not trained:
        return []
    if tokens.mask is None:
        raise ConfigurationError(
            "lm_finetuning.masked_lm.epochs > 0, but this base model's tokenizer has no mask token; set it to 0."
        )
    torch.manual_seed(seed)
    head = _Prediction(embeddings).to(device())
    optimizer = torch.optim.AdamW([*trained, *head.parameters()], lr=options.learning_rate)
    generator, rng, losses = torch.Generator().manual_seed(seed), np.random.default_rng(seed), []
    model.train()
    for epoch in range(1, options.epochs + 1):
        total, n_masked = 0.0, 0
        order = rng.permutation(rows)
        batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
        for batch in progress(batches, f"masked LM epoch {epoch}/{options.epochs}", "batch"):
            whole = tokens.batch(batch)
            masked, positions = mask_tokens(whole, tokens, options.mask_fraction, generator)
            n = int(positions.sum())
            if not n:
                continue
            loss = F.cross_entropy(head(hidden_states(model, masked)[positions]), whole["input_ids"][positions])
            _descend(loss, optimizer, trained)
            total, n_masked = total + loss.item() * n, n_masked + n
        losses.append(total / max(n_masked, 1))
        log.info("masked LM epoch %d: %.3f nats per masked token", epoch, losses[-1])
    return losses


def _descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, clipped: list[torch.nn.Parameter]) -> None:
    """Make one step of gradient descent, the gradient of ``clipped`` cut at length 1."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(clipped, 1.0)
    optimizer.step()
