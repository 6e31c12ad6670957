"""The training loop: an adapter under an objective, stopped on pseudo-cold A, resumable after every epoch."""

import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from tailor.data.interactions import keep_items
from tailor.determinism import deterministic
from tailor.lm import checkpoint as ck
from tailor.lm import ranks
from tailor.lm.augment import EmbeddingPerturbation, mask_tokens
from tailor.lm.base_model import model_path
from tailor.lm.batching import Rows, draw_items, shuffled_batches, tokenise_views
from tailor.lm.config import FROZEN, LMOptions
from tailor.lm.encoder import Tokens, device, encode, load_base
from tailor.lm.kernel_ridge import predict
from tailor.lm.masked_lm import adapt
from tailor.lm.model import ColdRanking, EmbeddingModel, ridge_head
from tailor.lm.objective import Examples, Landmarks, PairSampler, build_objective
from tailor.lm.peft import Adapter, attach, extract, prepare, rank_allocator, start_from, weights_hash
from tailor.lm.training_data import TrainingData
from tailor.progress import progress
from tailor.types import JsonObject

log = logging.getLogger(__name__)
History = list[dict[str, float]]


def tune(data: TrainingData, options: LMOptions, seed: int) -> tuple[Adapter, History]:
    """Tune an encoder; the epoch that ranks ``data.stop_on`` best is kept, without such items the last one.

    Args:
        data: texts, teacher, interactions.
        options: see :class:`tailor.lm.config.LMOptions`; with ``checkpoint``, an interrupted call is continued by the
            next one with the same arguments, to the same result.
        seed: of every generator.

    Returns:
        The best adapter, and per epoch: epoch, loss, cold_ndcg (NaN without items to measure on). Epoch 0 is the
        encoder before the objective (frozen, unless it starts from an adapter or a masked-LM stage came first).
    """
    with deterministic():
        tuning = Tuning(data, options, seed)
        tuning.run()
        tuning.clear()
        return tuning.best, tuning.history


@dataclass(frozen=True)
class Start:
    """A tuned encoder that another adapter is put on: what the adapter of a domain starts from."""

    adapter: Adapter
    """Is merged, and stays as it is."""
    centre: NDArray[np.float32]
    """What is subtracted from pooled states (m,)."""
    head: torch.Tensor
    """The head (d, m + 1) that the new one is pulled to."""
    beside: Landmarks
    """Items that are not tuned on, and that the kernel regresses on too."""

    def fingerprint(self) -> str:
        """Return a SHA-256 over everything but the adapter, 16 hex digits."""
        digest = hashlib.sha256()
        for array in (self.centre, self.head.numpy(), self.beside.embedded, self.beside.factors):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


class Tuning:
    """One training, an epoch at a time; :func:`tune` drives it from start (or checkpoint) to end."""

    def __init__(self, data: TrainingData, options: LMOptions, seed: int, start: Start | None = None) -> None:
        """Tokenise, load the base model, adapt it by masked LM on request, and fit the head's start.

        Args:
            data: texts, teacher, interactions.
            options: of this training.
            seed: of every generator.
            start: a tuned encoder in place of the base model; None: the base model.
        """
        self.data, self.options, self.seed, self.start = data, options, seed, start
        self.rows = np.flatnonzero(data.trainable)
        train = keep_items(data.train, data.trainable)
        self.counts = np.diff(sparse.csr_matrix(train.T).indptr).astype(np.int64)
        self.pairs = PairSampler(train)
        self.uses_kernel = self._decide_on_kernel()
        self.whole, self.views = tokenise_views(data.pieces, options, seed)
        self.steps_per_epoch = -(-len(self.rows) // options.batch_size)
        self.model = self._build_model(self._load_encoder(), train)
        self.optimizer, self.rates = self._optimizer()
        self.average = {name: p.detach().clone() for name, p in self.model.trained().items()}
        self.cold = ColdRanking(data, seed)
        if not len(self.cold.rows):
            log.warning("No item is pseudo-cold: the language model takes all of its %d epochs", options.epochs)
        self.done, self.stale = 0, 0
        self.history: History = [{"epoch": 0, "loss": float("nan"), "cold_ndcg": self._measure()}]
        self.best = self._snapshot()

    def _decide_on_kernel(self) -> bool:
        """Tell whether the kernel's loss is a part of the objective; log where it has too many items."""
        objective, n = self.options.objective, len(self.rows)
        if objective.wants_kernel and not objective.uses_kernel(n) and self.options.peft.peft_type != FROZEN:
            log.info(
                "%d items are tuned on, more than lm_finetuning.objective.kernel.items = %d: without the kernel's loss",
                n,
                objective.kernel.items,
            )
        return objective.uses_kernel(n)

    def _load_encoder(self) -> torch.nn.Module:
        options = self.options
        torch.manual_seed(self.seed)
        base = load_base(options.encoder)
        if self.start is not None:
            base = attach(base, self.start.adapter, options.encoder)
        self.base_hash, embedding = weights_hash(base), base.get_input_embeddings()  # type: ignore[operator]
        if options.gradient_checkpointing:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})  # type: ignore[operator]
        self.perturbation = EmbeddingPerturbation(embedding)
        encoder = prepare(base, options.peft, self.steps_per_epoch * options.epochs)
        self.started_from = (
            start_from(encoder, Path(options.adapter_from), self.base_hash) if options.adapter_from else ""
        )
        adapt(encoder, embedding.weight, self.whole, self.rows, options.masked_lm, options.batch_size, self.seed)
        return encoder

    def _build_model(self, encoder: torch.nn.Module, train: sparse.csr_matrix) -> EmbeddingModel:
        data, options = self.data, self.options.encoder
        pooled = encode(encoder, self.whole, options.batch_size, "encode frozen", options.pooling)
        mean = pooled[data.trainable].mean(axis=0) if self.start is None else self.start.centre
        centre = torch.from_numpy(mean)
        embedded = torch.nn.functional.normalize(torch.from_numpy(pooled) - centre, dim=1).numpy()
        head = self.fit_head(embedded[self.rows])
        beside = None if self.start is None else self.start.beside
        of_kernel = data.item_factors if self.uses_kernel else None
        objective, self.quadratic = build_objective(
            self.options.objective, data.user_factors, train, head, data.categories, of_kernel, beside
        )
        return EmbeddingModel(encoder, centre, objective, options.pooling).to(device())

    def fit_head(self, embedded: NDArray[np.float32]) -> torch.Tensor:
        """Fit the head to embeddings (n, m) of the trainable items in closed form; items weigh as in the objective."""
        options = self.options.objective
        strength = (self.counts + options.alpha * len(self.data.user_factors)) ** (1 - options.item_weight_power)
        weights = (strength[self.rows] / strength[self.rows].mean()).astype(np.float32)
        toward = None if self.start is None else self.start.head
        return ridge_head(embedded, self.data.item_factors[self.rows], weights, options.head_ridge, toward)

    def run(self) -> None:
        """Go on from a checkpoint to the end; the checkpoint stays."""
        self.resume()
        while self.wants_more():
            self.run_epoch()
            self.save()

    def _optimizer(self) -> tuple[torch.optim.Optimizer, list[float]]:
        options, (encoder, heads) = self.options, self._trained()
        groups = [(encoder, options.learning_rate), (heads, options.head_learning_rate)]
        groups = [(parameters, rate) for parameters, rate in groups if parameters]
        optimizer = torch.optim.AdamW(
            [{"params": p, "lr": rate} for p, rate in groups], weight_decay=options.weight_decay
        )
        return optimizer, [rate for _, rate in groups]

    def _trained(self) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
        """Return the trained parameters of the encoder, and those of the objective's heads."""
        trained = self.model.trained()
        encoder = [p for name, p in trained.items() if name.startswith("encoder.")]
        return encoder, [p for name, p in trained.items() if not name.startswith("encoder.")]

    def wants_more(self) -> bool:
        """Tell whether another epoch is due."""
        return self.done < self.options.epochs and self.stale < self.options.patience

    def run_epoch(self) -> None:
        """Run one epoch, measure it, and keep its adapter if it is the best, or if nothing tells which one is."""
        self.done += 1
        # Everything random in an epoch hangs on its number alone, so a resumed training draws the same.
        torch.manual_seed(self.seed * 100_003 + self.done)
        self.masks = torch.Generator().manual_seed(self.seed * 100_003 + self.done)
        loss = self._train_epoch(np.random.default_rng([self.seed, self.done]))
        value, best = self._measure(), max(row["cold_ndcg"] for row in self.history)
        self.history.append({"epoch": self.done, "loss": loss, "cold_ndcg": value})
        log.info("epoch %d: loss %.4f, pseudo-cold NDCG@20 %.4f", self.done, loss, value)
        better = value > best or math.isnan(value)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best = self._snapshot()

    def _train_epoch(self, rng: np.random.Generator) -> float:
        """Step through the items once; return the mean loss."""
        options = self.options
        tokens = self.views[int(rng.integers(len(self.views)))]
        rows = draw_items(self.rows, self.counts, options.augmentation.popularity_balance, rng)
        total = 0.0
        batches = list(shuffled_batches(rows, tokens.lengths(), options.batch_size, rng))
        self.model.eval()
        self.model.objective.begin(rows, self._embed_now)
        self.model.train()
        bar = progress(range(len(batches)), f"epoch {self.done}/{options.epochs}", "batch")
        for index, batch in zip(bar, batches, strict=True):
            loss = self._step(batch, tokens, rng, (self.done - 1) * self.steps_per_epoch + index)
            total += loss * len(batch)
            bar.set_postfix(loss=f"{loss:.3f}", cold_ndcg=f"{self.history[-1]['cold_ndcg']:.4f}", refresh=False)
        return total / len(rows)

    def _embed_now(self, rows: Rows) -> NDArray[np.float32]:
        with torch.inference_mode():
            return self._embed(rows)

    def _step(self, batch: Rows, tokens: Tokens, rng: np.random.Generator, step: int) -> float:
        """Make one optimisation step, in micro-batches; return the loss."""
        options, total = self.options, 0.0
        factor = _warm_up_then_decay(step, self.steps_per_epoch * options.epochs)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        for rows in np.array_split(batch, min(options.accumulate, len(batch))):
            total += self._backward(rows, tokens, rng, len(rows) / len(batch))
        encoder, heads = self._trained()
        ranks.add_gradients(encoder, heads)
        torch.nn.utils.clip_grad_norm_(self.model.trained().values(), 1.0)
        self.optimizer.step()
        allocator = rank_allocator(self.model.encoder)
        if allocator is not None:
            allocator.update_and_allocate(step)
        if options.ema:
            for name, p in self.model.trained().items():
                self.average[name].lerp_(p.detach(), 1 - options.ema)
        return total

    def _backward(self, rows: Rows, tokens: Tokens, rng: np.random.Generator, share: float) -> float:
        """Add the gradients of ``share`` times the loss of one micro-batch; return that value."""
        augmentation = self.options.augmentation
        pairs = self.pairs.draw(rows, rng) if self.model.objective.needs_partners else None
        texts = rows if pairs is None else np.concatenate([rows, pairs.partners])
        batch, part = tokens.batch(texts), ranks.own_part(len(texts))
        if augmentation.token_mask:
            batch, _ = mask_tokens(batch, tokens, augmentation.token_mask, self.masks)
        batch = {name: values[part] for name, values in batch.items()}

        def backward(scale: float, perturbed: bool = False) -> float:
            embedded = ranks.gather(self.model(batch), len(texts))
            partners = None if pairs is None else embedded[len(rows) :]
            loss = scale * self.model.objective(Examples(rows, embedded[: len(rows)], pairs, partners, perturbed))
            if loss.requires_grad:
                loss.backward()
            return float(loss.item())

        if not augmentation.adversarial:
            return backward(share)
        with self.perturbation.watch():
            plain = backward(share / 2)
        with self.perturbation.perturb(augmentation.adversarial):
            return plain + backward(share / 2, perturbed=True)

    def _measure(self) -> float:
        """Return NDCG@20 of users' lists over pseudo-cold A, by predicted factors; NaN where no item is in A."""
        if not len(self.cold.rows):
            return float("nan")
        with self._averaged(), torch.inference_mode():
            self.model.eval()
            return self.cold.ndcg(self._predict(self._embed(self.cold.rows)))

    def _predict(self, embedded: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return factors (a, d) of items without interactions: by the kernel where its loss is used, or the head."""
        if self.uses_kernel and self.options.peft.peft_type != FROZEN:
            known, factors = self._embed(self.rows), self.data.item_factors[self.rows]
            if self.start is not None:
                known, factors = self.start.beside.below(known, factors)
            return predict(known, factors, embedded, self.options.objective.kernel)
        head = self._head().cpu().numpy()
        return np.asarray(embedded @ head[:, :-1].T + head[:, -1])

    def _head(self) -> torch.Tensor:
        """Return the head that the objective trains, or fit one where it trains none."""
        if self.quadratic is None:
            return self.fit_head(self._embed(self.rows))
        return self.quadratic.head.detach()

    def _embed(self, rows: Rows) -> NDArray[np.float32]:
        return self.model.embed(self.whole, rows, self.options.encoder.batch_size)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights in place, where there are any, and take them out again."""
        if not self.options.ema or not self.done:
            yield
            return
        trained = self.model.trained()
        current = {name: p.detach().clone() for name, p in trained.items()}
        _copy_into(trained, self.average)
        try:
            yield
        finally:
            _copy_into(trained, current)

    def _snapshot(self) -> Adapter:
        with self._averaged():
            weights, config = extract(self.model.encoder)
            with torch.inference_mode():
                self.model.eval()
                head = self._head()
            head = head.cpu().clone()
        config["base_model_name_or_path"] = self.options.encoder.base_model
        provenance = {
            "base_model": model_path(self.options.encoder.base_model).rsplit("/", 2)[-2:],
            "base_hash": self.base_hash,
            "data_hash": self.data.fingerprint(),
            "options": self.options.model_dump(exclude={"checkpoint"}),
            "started_from": self.started_from,
            "seed": self.seed,
            "epoch": self.done,
            "truncated_texts": self.whole.n_truncated,
        }
        return Adapter(weights, config, {"weight": head}, provenance)

    def _fingerprint(self) -> str:
        parts = (
            self.data.fingerprint(),
            self.base_hash,
            self.started_from,
            self.options.model_dump_json(exclude={"checkpoint"}),
            self.seed,
            self.uses_kernel,
            *(() if self.start is None else (self.start.fingerprint(),)),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def _checkpoint_file(self) -> Path | None:
        """Return the file; None without one, or where a rank allocator keeps state that PEFT does not give out."""
        path = self.options.checkpoint
        return Path(path) if path and rank_allocator(self.model.encoder) is None else None

    def save(self) -> None:
        """Write the checkpoint, where the options name one; of several processes the first does."""
        path = self._checkpoint_file()
        if path is None or ranks.rank():
            return
        tensors = ck.flatten("model", dict(self.model.trained()))
        tensors |= ck.flatten("average", self.average) | ck.flatten("optimizer", ck.optimizer_tensors(self.optimizer))
        tensors |= ck.flatten("best", self.best.weights) | ck.flatten("head", self.best.head)
        best = {"config": self.best.config, "provenance": self.best.provenance}
        state: JsonObject = {"done": self.done, "stale": self.stale, "history": self.history, "best": best}
        ck.Checkpoint(self._fingerprint(), state, tensors).save(path)

    def resume(self) -> None:
        """Go on where an interrupted training with the same fingerprint stopped."""
        path = self._checkpoint_file()
        checkpoint = ck.Checkpoint.load(path, self._fingerprint()) if path else None
        if checkpoint is None:
            return
        tensors, best = checkpoint.tensors, checkpoint.progress["best"]
        _copy_into(self.model.trained(), ck.part("model", tensors))
        self.average = {key: value.to(device()) for key, value in ck.part("average", tensors).items()}
        ck.restore_optimizer(self.optimizer, ck.part("optimizer", tensors))
        self.done, self.stale, self.history = (checkpoint.progress[key] for key in ("done", "stale", "history"))
        self.best = Adapter(ck.part("best", tensors), best["config"], ck.part("head", tensors), best["provenance"])
        log.info("Going on after epoch %d of %d (%s)", self.done, self.options.epochs, path)

    def clear(self) -> None:
        """Remove the checkpoint of a finished training."""
        path = self._checkpoint_file()
        if path and not ranks.rank():
            path.unlink(missing_ok=True)


def _copy_into(parameters: dict[str, torch.nn.Parameter], values: dict[str, torch.Tensor]) -> None:
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(values[name])


def _warm_up_then_decay(step: int, steps: int) -> float:
    """Return the learning rate's factor: linear up over the first 10 %, linear down to 0 after."""
    warm_up = max(1, steps // 10)
    return (step + 1) / warm_up if step < warm_up else max(0.0, (steps - step) / max(1, steps - warm_up))
