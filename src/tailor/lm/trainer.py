"""The training loop: an adapter under an objective, stopped on pseudo-cold A, resumable after every epoch."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import AdaLoraModel
from scipy import sparse

from tailor.data.interactions import keep_items
from tailor.data.text import join_pieces
from tailor.lm import checkpoint as ck
from tailor.lm.augment import EmbeddingPerturbation, draw_items, drop_pieces, mask_tokens
from tailor.lm.encoder import Batch, Tokens, device, encode, load_base, model_path, pool, tokenise
from tailor.lm.masked_lm import adapt
from tailor.lm.objective import Examples, Objective, PairSampler, build_objective
from tailor.lm.peft import Adapter, extract, prepare, weights_hash
from tailor.metrics.accuracy import hits, ndcg
from tailor.options import LMOptions
from tailor.progress import progress
from tailor.topk import top_k

log = logging.getLogger(__name__)
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
History = list[dict[str, float]]


@dataclass(frozen=True)
class TrainingData:
    """What an encoder is tuned on; no test row is among it."""

    pieces: list[list[str]]
    """The pieces of each item's text, (n_items,)."""
    user_factors: NDArray[np.float32]
    """The teacher's users (U, d)."""
    item_factors: NDArray[np.float32]
    """The teacher's items (n_items, d), where the head starts."""
    train: sparse.csr_matrix
    """Train interactions (U, n_items); only those of ``trainable`` are used, but to measure epochs on ``stop_on``."""
    trainable: Mask
    """Items whose interactions are learnt from (n_items,)."""
    stop_on: Mask
    """Items that choose the epoch, pseudo-cold A (n_items,)."""
    categories: sparse.csr_matrix | None = None
    """Items × categories, 0/1."""

    def __post_init__(self) -> None:
        """Refuse a leak.

        Raises:
            ValueError: ``trainable`` and ``stop_on`` overlap.
        """
        if (self.trainable & self.stop_on).any():
            raise ValueError(f"{int((self.trainable & self.stop_on).sum())} items are both trainable and stopped on")

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything training reads, 16 hex digits."""
        digest = hashlib.sha256(repr(self.pieces).encode())
        for array in (self.user_factors, self.item_factors, self.train.indptr, self.train.indices, self.trainable):
            digest.update(np.ascontiguousarray(array).tobytes())
        digest.update(self.stop_on.tobytes())
        if self.categories is not None:
            digest.update(self.categories.indices.tobytes() + self.categories.indptr.tobytes())
        return digest.hexdigest()[:16]


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
    """Encoder, centring, normalisation and objective."""

    def __init__(self, encoder: torch.nn.Module, centre: torch.Tensor, objective: Objective, pooling: str) -> None:
        super().__init__()
        self.encoder, self.objective, self.pooling = encoder, objective, pooling
        self.centre: torch.Tensor
        self.register_buffer("centre", centre)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Embed texts, (B, m)."""
        return torch.nn.functional.normalize(pool(self.encoder, batch, self.pooling) - self.centre, dim=1)

    def trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def tune(lesson: TrainingData, options: LMOptions, seed: int) -> tuple[Adapter, History]:
    """Tune an encoder; the epoch that ranks ``lesson.stop_on`` best is kept.

    Args:
        lesson: texts, teacher, interactions.
        options: see :class:`tailor.options.LMOptions`; with ``checkpoint``, an interrupted call is continued by the
            next one with the same arguments, to the same result.
        seed: of every generator.

    Returns:
        The best adapter, and per epoch: epoch, loss, cold_ndcg. Epoch 0 is the encoder before the objective (frozen,
        unless a masked-LM stage came first) with its ridge head.
    """
    with _deterministic():
        trainer = Tuning(lesson, options, seed)
        trainer.resume()
        while trainer.wants_more():
            trainer.epoch()
            trainer.save()
        trainer.clear()
        return trainer.best, trainer.history


class Tuning:
    """One training, an epoch at a time; :func:`tune` drives it from start (or checkpoint) to end."""

    def __init__(self, lesson: TrainingData, options: LMOptions, seed: int) -> None:
        self.lesson, self.options, self.seed = lesson, options, seed
        self.rows = np.flatnonzero(lesson.trainable)
        self.seen = keep_items(lesson.train, lesson.trainable)
        self.counts = np.diff(sparse.csr_matrix(self.seen.T).indptr).astype(np.int64)
        self.pairs = PairSampler(self.seen)
        self.views = self._views()
        self.steps_per_epoch = -(-len(self.rows) // options.batch_size)
        torch.manual_seed(seed)
        base = load_base(options.encoder)
        self.base_hash, embedding = weights_hash(base), base.get_input_embeddings()  # type: ignore[operator]
        if options.gradient_checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
        self.perturbation = EmbeddingPerturbation(embedding)
        encoder = prepare(base, options.peft, self.steps_per_epoch * options.epochs)
        adapt(encoder, embedding.weight, self.whole, self.rows, options.masked_lm, options.batch_size, seed)
        self.model = self._trainee(encoder)
        self.optimizer, self.rates = self._optimizer()
        self.average = {name: p.detach().clone() for name, p in self.model.trained().items()}
        self.truth = sparse.csr_matrix(lesson.train[:, np.flatnonzero(lesson.stop_on)])
        self.tie_rank = np.random.default_rng(seed).permutation(int(lesson.stop_on.sum()))
        self.done, self.stale = 0, 0
        self.history: History = [{"epoch": 0, "loss": float("nan"), "cold_ndcg": self._measure()}]
        self.best = self._snapshot()

    def _views(self) -> list[Tokens]:
        """Tokenise the whole texts, and every view of them, once; without attribute drop they are the only view."""
        o = self.options
        self.whole = tokenise(join_pieces(self.lesson.pieces).tolist(), o.encoder)
        if not o.augmentation.attribute_drop:
            return [self.whole]
        rng = np.random.default_rng([self.seed, 0])
        drawn = [
            drop_pieces(self.lesson.pieces, o.augmentation.attribute_drop, rng) for _ in range(o.augmentation.n_views)
        ]
        return [tokenise(view, o.encoder) for view in drawn]

    def _trainee(self, encoder: torch.nn.Module) -> _Trainee:
        o, lesson = self.options, self.lesson
        pooled = encode(encoder, self.whole, o.encoder.batch_size, "encode frozen", o.encoder.pooling)
        centre = torch.from_numpy(pooled[lesson.trainable].mean(axis=0))
        embedded = torch.nn.functional.normalize(torch.from_numpy(pooled) - centre, dim=1).numpy()
        head = self._ridge(embedded[self.rows])
        objective, self.quadratic = build_objective(
            o.objective, lesson.user_factors, self.seen, head, lesson.categories
        )
        return _Trainee(encoder, centre, objective, o.encoder.pooling).to(device())

    def _ridge(self, embedded: NDArray[np.float32]) -> torch.Tensor:
        """Fit the head in closed form; items weigh as in the objective's quadratic part."""
        o = self.options.objective
        strength = (self.counts + o.alpha * len(self.lesson.user_factors)) ** (1 - o.item_weight_power)
        weights = (strength[self.rows] / strength[self.rows].mean()).astype(np.float32)
        return ridge_head(embedded, self.lesson.item_factors[self.rows], weights, o.head_ridge)

    def _optimizer(self) -> tuple[torch.optim.Optimizer, list[float]]:
        o, trained = self.options, self.model.trained()
        encoder = [p for name, p in trained.items() if name.startswith("encoder.")]
        heads = [p for name, p in trained.items() if not name.startswith("encoder.")]
        groups = [(encoder, o.learning_rate), (heads, o.head_learning_rate)]
        groups = [(parameters, rate) for parameters, rate in groups if parameters]
        optimizer = torch.optim.AdamW([{"params": p, "lr": rate} for p, rate in groups], weight_decay=o.weight_decay)
        return optimizer, [rate for _, rate in groups]

    def wants_more(self) -> bool:
        """Tell whether another epoch is due."""
        return self.done < self.options.epochs and self.stale < self.options.patience

    def epoch(self) -> None:
        """Run one epoch, measure it, and keep its adapter if it is the best."""
        self.done += 1
        # Everything random in an epoch hangs on its number alone, so a resumed training draws the same.
        torch.manual_seed(self.seed * 100_003 + self.done)
        self.masks = torch.Generator().manual_seed(self.seed * 100_003 + self.done)
        rng, o = np.random.default_rng([self.seed, self.done]), self.options
        tokens = self.views[int(rng.integers(len(self.views)))]
        rows = draw_items(self.rows, self.counts, o.augmentation.popularity_balance, rng)
        bar = progress(
            list(_batches(rows, tokens.lengths(), o.batch_size, rng)), f"epoch {self.done}/{o.epochs}", "batch"
        )
        self.model.train()
        total = 0.0
        for at, batch in enumerate(bar):
            loss = self._step(batch, tokens, rng, (self.done - 1) * self.steps_per_epoch + at)
            total += loss * len(batch)
            bar.set_postfix(loss=f"{loss:.3f}", cold_ndcg=f"{self.history[-1]['cold_ndcg']:.4f}", refresh=False)
        value, before = self._measure(), max(row["cold_ndcg"] for row in self.history)
        self.history.append({"epoch": self.done, "loss": total / len(rows), "cold_ndcg": value})
        log.info("epoch %d: loss %.4f, pseudo-cold NDCG@20 %.4f", self.done, total / len(rows), value)
        self.stale = 0 if value > before else self.stale + 1
        if value > before:
            self.best = self._snapshot()

    def _step(self, batch: Rows, tokens: Tokens, rng: np.random.Generator, step: int) -> float:
        """Make one optimisation step, in micro-batches; return the loss."""
        o, total = self.options, 0.0
        factor = _warm_up_then_decay(step, self.steps_per_epoch * o.epochs)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        for rows in np.array_split(batch, min(o.accumulate, len(batch))):
            total += self._backward(rows, tokens, rng, len(rows) / len(batch))
        torch.nn.utils.clip_grad_norm_(self.model.trained().values(), 1.0)
        self.optimizer.step()
        adapter = getattr(self.model.encoder, "base_model", None)
        if isinstance(adapter, AdaLoraModel):
            adapter.update_and_allocate(step)
        if o.ema:
            for name, p in self.model.trained().items():
                self.average[name].lerp_(p.detach(), 1 - o.ema)
        return total

    def _backward(self, rows: Rows, tokens: Tokens, rng: np.random.Generator, share: float) -> float:
        """Add the gradients of ``share`` times the loss of one micro-batch; return that value."""
        augmentation = self.options.augmentation
        pairs = self.pairs.draw(rows, rng) if self.model.objective.needs_partners else None
        batch = tokens.batch(rows if pairs is None else np.concatenate([rows, pairs.partners]))
        if augmentation.token_mask:
            batch, _ = mask_tokens(batch, tokens, augmentation.token_mask, self.masks)

        def backward(scale: float) -> float:
            embedded = self.model(batch)
            partners = None if pairs is None else embedded[len(rows) :]
            loss = scale * self.model.objective(Examples(rows, embedded[: len(rows)], pairs, partners))
            loss.backward()
            return float(loss.item())

        if not augmentation.adversarial:
            return backward(share)
        with self.perturbation.watch():
            plain = backward(share / 2)
        with self.perturbation.perturb(augmentation.adversarial):
            return plain + backward(share / 2)

    def _measure(self) -> float:
        """Return NDCG@20 of users' lists over pseudo-cold A, by predicted factors."""
        with self._averaged(), torch.inference_mode():
            self.model.eval()
            cold = np.flatnonzero(self.lesson.stop_on)
            if self.quadratic is None:
                head = self._ridge(self._embed(self.rows)).to(device())
                embedded = torch.from_numpy(self._embed(cold)).to(device())
                factors = embedded @ head[:, :-1].T + head[:, -1]
            else:
                factors = self.quadratic.factors(torch.from_numpy(self._embed(cold)).to(device()))
            return cold_ndcg(self.lesson.user_factors, factors.cpu().numpy(), self.truth, self.tie_rank)

    def _embed(self, rows: Rows) -> NDArray[np.float32]:
        size, out = self.options.encoder.batch_size, None
        for order in _by_length(rows, self.whole.lengths(), size):
            embedded = self.model(self.whole.batch(rows[order])).cpu().numpy()
            out = np.empty((len(rows), embedded.shape[1]), np.float32) if out is None else out
            out[order] = embedded
        return np.empty((0, 0), np.float32) if out is None else out

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in place, where there are any, and take them out again."""
        if not self.options.ema or not self.done:
            yield
            return
        trained = self.model.trained()
        own = {name: p.detach().clone() for name, p in trained.items()}
        _copy_into(trained, self.average)
        try:
            yield
        finally:
            _copy_into(trained, own)

    def _snapshot(self) -> Adapter:
        with self._averaged():
            weights, config = extract(self.model.encoder)
            if self.quadratic is None:
                with torch.inference_mode():
                    self.model.eval()
                    head = self._ridge(self._embed(self.rows))
            else:
                head = self.quadratic.head.detach().cpu().clone()
        config["base_model_name_or_path"] = self.options.encoder.base_model
        provenance = {
            "base_model": model_path(self.options.encoder.base_model).rsplit("/", 2)[-2:],
            "base_hash": self.base_hash,
            "data_hash": self.lesson.fingerprint(),
            "options": self.options.model_dump(exclude={"checkpoint"}),
            "seed": self.seed,
            "epoch": self.done,
            "truncated_texts": self.whole.n_truncated,
        }
        return Adapter(weights, config, {"weight": head}, provenance)

    def _identity(self) -> str:
        parts = (
            self.lesson.fingerprint(),
            self.base_hash,
            self.options.model_dump_json(exclude={"checkpoint"}),
            self.seed,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def _checkpoint_file(self) -> Path | None:
        """AdaLoRA's rank allocator keeps state of its own that PEFT does not give out: it starts over."""
        o = self.options
        return Path(o.checkpoint) if o.checkpoint and o.peft.method != "adalora" else None

    def save(self) -> None:
        """Write the checkpoint, where one is wanted."""
        path = self._checkpoint_file()
        if path is None:
            return
        tensors = ck.flatten("model", dict(self.model.trained()))
        tensors |= ck.flatten("average", self.average) | ck.flatten("optimizer", ck.optimizer_tensors(self.optimizer))
        tensors |= ck.flatten("best", self.best.weights) | ck.flatten("head", self.best.head)
        kept = {"config": self.best.config, "provenance": self.best.provenance}
        told: dict[str, Any] = {"done": self.done, "stale": self.stale, "history": self.history, "best": kept}
        ck.Checkpoint(self._identity(), told, tensors).save(path)

    def resume(self) -> None:
        """Go on where an interrupted training of the same identity stopped."""
        path = self._checkpoint_file()
        found = ck.Checkpoint.load(path, self._identity()) if path else None
        if found is None:
            return
        _copy_into(self.model.trained(), ck.part("model", found.tensors))
        self.average = {key: value.to(device()) for key, value in ck.part("average", found.tensors).items()}
        ck.restore_optimizer(self.optimizer, ck.part("optimizer", found.tensors))
        self.done, self.stale, self.history = (found.progress[key] for key in ("done", "stale", "history"))
        best = found.progress["best"]
        self.best = Adapter(
            ck.part("best", found.tensors), best["config"], ck.part("head", found.tensors), best["provenance"]
        )
        log.info("Going on after epoch %d of %d (%s)", self.done, self.options.epochs, path)

    def clear(self) -> None:
        """Remove the checkpoint of a finished training."""
        path = self._checkpoint_file()
        if path:
            path.unlink(missing_ok=True)


def _copy_into(parameters: dict[str, torch.nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(values[name])


def _warm_up_then_decay(step: int, steps: int) -> float:
    """Return the learning rate's factor: linear up over the first 10 %, linear down to 0 after."""
    warm_up = max(1, steps // 10)
    return (step + 1) / warm_up if step < warm_up else max(0.0, (steps - step) / max(1, steps - warm_up))


def _by_length(rows: Rows, lengths: Rows, batch_size: int) -> Iterator[Rows]:
    order = np.argsort(lengths[rows], kind="stable")
    yield from (order[at : at + batch_size] for at in range(0, len(order), batch_size))


def _batches(rows: Rows, lengths: Rows, batch_size: int, rng: np.random.Generator) -> Iterator[Rows]:
    """Sort within pools of 16 batches by length (little padding, still random), shuffle the batches."""
    pools = [rows[at : at + 16 * batch_size] for at in range(0, len(rows), 16 * batch_size)]
    batches = [members[order] for members in pools for order in _by_length(members, lengths, batch_size)]
    yield from (batches[at] for at in rng.permutation(len(batches)))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Ask torch for algorithms that add in a fixed order, and give the setting back."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
