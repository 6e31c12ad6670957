"""The training loop: LoRA and a linear head under the exact quadratic objective, stopped on pseudo-cold A."""

import logging
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from transformers import get_linear_schedule_with_warmup

from tailor.cf.topk import top_k
from tailor.data.matrices import keep_items
from tailor.lm.adapter import Adapter, add_lora, extract
from tailor.lm.encoder import Tokens, device, encode, load_base, model_path, normalise, pool
from tailor.lm.objective import QuadraticObjective
from tailor.metrics.ranking import hits, ndcg
from tailor.options import LMOptions
from tailor.progress import progress

log = logging.getLogger(__name__)
Mask = NDArray[np.bool_]


def ridge_head(
    embeddings: NDArray[np.float32], factors: NDArray[np.float32], weights: NDArray[np.float32], ridge: float
) -> torch.Tensor:
    """Fit factors ≈ [e, 1] W by weighted ridge in closed form; returns Wᵀ (d, m + 1), the start of the head."""
    E = np.hstack([embeddings, np.ones((len(embeddings), 1))]).astype(np.float64)
    weighted = E * weights[:, None]
    W = np.linalg.solve(weighted.T @ E + ridge * np.eye(E.shape[1]), weighted.T @ factors)
    return torch.from_numpy(np.ascontiguousarray(W.T, dtype=np.float32))


def cold_ndcg(
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    truth: sparse.csr_matrix,
    tie_rank: NDArray[np.int64],
    k: int = 20,
    block_users: int = 1024,
) -> float:
    """Return NDCG@k of lists over the given items alone.

    Args:
        user_factors: (U, d).
        item_factors: of the candidates, (n, d).
        truth: positives (U, n).
    """
    values = []
    for start in range(0, len(user_factors), block_users):
        block = slice(start, start + block_users)
        lists, _ = top_k((user_factors[block] @ item_factors.T).astype(np.float32), k, tie_rank)
        values.append(ndcg(hits(lists, truth[block]), np.diff(truth[block].indptr), k))
    return float(np.nanmean(np.concatenate(values)))


class _Trainee(torch.nn.Module):
    """Encoder with adapter, centring, normalisation and head: text to item factor."""

    def __init__(self, encoder: torch.nn.Module, centre: torch.Tensor, head: torch.Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.centre: torch.Tensor
        self.register_buffer("centre", centre)
        self.head = torch.nn.Parameter(head)

    def embed(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return torch.nn.functional.normalize(pool(self.encoder, batch) - self.centre, dim=1)

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.embed(batch) @ self.head[:, :-1].T + self.head[:, -1]


def tune_lora(
    tokens: Tokens,
    user_factors: NDArray[np.float32],
    item_factors: NDArray[np.float32],
    train: sparse.csr_matrix,
    learnt: Mask,
    stop_on: Mask,
    options: LMOptions,
    seed: int,
) -> tuple[Adapter, list[dict[str, float]]]:
    """Tune LoRA and head on the items ``learnt``; keep the epoch that ranks the items ``stop_on`` best.

    Args:
        tokens: the item corpus, n_items texts.
        user_factors: teacher U (U, d); the teacher has not seen ``stop_on``.
        item_factors: teacher V (n_items, d), read for ``learnt`` items only.
        train: train interactions (U, n_items); columns outside learnt and stop_on are not read.
        learnt: items whose interactions make the loss (n_items,).
        stop_on: pseudo-cold items (n_items,), disjoint from ``learnt``; their interactions measure epochs only.
        options: see :class:`tailor.options.LMOptions`.
        seed: of every generator.

    Returns:
        The best adapter, and per epoch: epoch, loss, cold_ndcg. Epoch 0 is the frozen encoder with its ridge head.

    Raises:
        ValueError: ``learnt`` and ``stop_on`` overlap.
    """
    if (learnt & stop_on).any():
        raise ValueError(f"{int((learnt & stop_on).sum())} items are both learnt and stopped on")
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(learnt)
    objective = QuadraticObjective.build(
        user_factors, keep_items(train, learnt), options.alpha, options.item_weight_power
    )
    base = load_base(options.encoder)
    pooled = encode(base, tokens, options.encoder.batch_size, "encode frozen")
    frozen = normalise(pooled, learnt)
    strength = np.asarray(objective.weights * (np.diff(objective.by_item.indptr) + options.alpha * len(user_factors)))
    head = ridge_head(frozen[rows], item_factors[rows], (strength / strength[rows].mean())[rows], options.head_ridge)
    model = _Trainee(add_lora(base, options.lora), torch.from_numpy(pooled[learnt].mean(axis=0)), head).to(device())

    truth = sparse.csr_matrix(train[:, np.flatnonzero(stop_on)])
    tie_rank = rng.permutation(int(stop_on.sum()))

    def measure() -> float:
        return cold_ndcg(user_factors, _predict(model, tokens, np.flatnonzero(stop_on), options), truth, tie_rank)

    batches_per_epoch = -(-len(rows) // options.batch_size)
    optimizer, schedule = _optimizer(model, options, batches_per_epoch * options.epochs)
    history = [{"epoch": 0, "loss": float("nan"), "cold_ndcg": measure()}]
    best, best_value = _snapshot(model, options, seed), history[0]["cold_ndcg"]
    for epoch in range(1, options.epochs + 1):
        model.train()
        total = 0.0
        batches = _epoch(rows, tokens.lengths(), options.batch_size, rng)
        bar = progress(batches, f"LoRA epoch {epoch}/{options.epochs}", "batch")
        for batch in bar:
            loss = objective.loss(model(tokens.batch(batch)), batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
            bar.set_postfix(loss=f"{loss.item():.3f}", cold_ndcg=f"{history[-1]['cold_ndcg']:.4f}", refresh=False)
        history.append({"epoch": epoch, "loss": total / len(rows), "cold_ndcg": measure()})
        log.info(
            "LoRA epoch %d: loss %.4f, pseudo-cold NDCG@20 %.4f", epoch, history[-1]["loss"], history[-1]["cold_ndcg"]
        )
        if history[-1]["cold_ndcg"] > best_value:
            best, best_value = _snapshot(model, options, seed), history[-1]["cold_ndcg"]
    return best, history


@torch.inference_mode()
def _predict(model: _Trainee, tokens: Tokens, rows: NDArray[np.int64], options: LMOptions) -> NDArray[np.float32]:
    model.eval()
    size = options.encoder.batch_size
    parts = [model(tokens.batch(rows[at : at + size])).cpu().numpy() for at in range(0, len(rows), size)]
    return np.concatenate(parts)


def _epoch(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Shuffle, sort within pools of 16 batches by length (little padding, still random), shuffle the batches."""
    shuffled = rng.permutation(rows)
    pools = [shuffled[at : at + 16 * batch_size] for at in range(0, len(rows), 16 * batch_size)]
    batches = []
    for members in pools:
        ordered = members[np.argsort(lengths[members], kind="stable")]
        batches += [ordered[at : at + batch_size] for at in range(0, len(ordered), batch_size)]
    return [batches[at] for at in rng.permutation(len(batches))]


def _optimizer(model: _Trainee, options: LMOptions, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    adapter = [p for p in model.encoder.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": adapter, "lr": options.learning_rate},
            {"params": [model.head], "lr": options.head_learning_rate},
        ],
        weight_decay=options.weight_decay,
    )
    return optimizer, get_linear_schedule_with_warmup(optimizer, max(1, steps // 10), steps)


def _snapshot(model: _Trainee, options: LMOptions, seed: int) -> Adapter:
    weights, config = extract(model.encoder)  # type: ignore[arg-type]
    config["base_model_name_or_path"] = options.encoder.base_model
    provenance = {"base_model": model_path(options.encoder.base_model).rsplit("/", 2)[-2:], "seed": seed}
    return Adapter(weights, config, {"weight": model.head.detach().cpu().clone()}, provenance)
