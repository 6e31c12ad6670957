"""Fitting :mod:`tailor.models.transformer`: softmax cross-entropy over the catalogue at every place of every history.

    L = -1/N Σ_(u, t) log softmax_i(h_(u, t) · x_i)[i_(u, t+1)]      (i over items with interactions)

On large catalogues the softmax is over the target and items drawn uniformly, whose terms are scaled to stand for all
(Jean et al. 2015, "On using very large target vocabulary"). Adam, an average of the weights, and the epoch that ranks
the held-out last items of some users best.
"""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch.nn import functional

from tailor.determinism import fit_of_small_steps
from tailor.lm import checkpoint as ck
from tailor.lm.encoder import autocast
from tailor.models import checkpoints
from tailor.models.base import Indices, Model, Query, State, TrainSet, part_of_state
from tailor.models.transformer import FittedTransformer, SASRecConfig, TransformerConfig, sequences_of
from tailor.progress import progress
from tailor.threads import blocks

log = logging.getLogger(__name__)
_WARM_UP = 100
#: Least steps of an epoch.
_STEPS = 20
#: The latest fits by fingerprint: option sets of a hybrid that differ in other sources share one fit.
_FITTED: OrderedDict[str, FittedTransformer] = OrderedDict()
_REMEMBERED = 4
#: Layers of a block: without and with a shift.
_GATES, _NORMS = ("gate1", "gate2"), ("norm1", "norm2")
_MATRICES = ("q", "k", "v", "out", "inner", "outer", "down", *_GATES)
Batch = tuple[torch.Tensor, torch.Tensor]


def fit(
    recipe: Model[Any], data: TrainSet, start: FittedTransformer | None = None, epochs: int | None = None
) -> FittedTransformer:
    """Fit a transformer.

    Args:
        recipe: options and seed.
        data: what is learnt from; where it knows no order the fitted model scores 0.
        start: weights to go on from; None: random ones.
        epochs: exactly so many, nothing held out; None: ``exact_epochs`` of the recipe.
    """
    with fit_of_small_steps():
        training = _training(recipe, data, start, epochs)
        if training is None:
            return _without_order(recipe, data)
        known = training.remembered()
        if known is not None:
            return known
        training.resume()
        while training.wants_more():
            training.run_epoch()
            training.save()
        training.clear()
        log.info(training.summary())
        return training.remember(training.export())


def remembered(recipe: Model[Any], data: TrainSet) -> FittedTransformer | None:
    """Return a fit from random weights that this process remembers, or that there is nothing to learn for."""
    with fit_of_small_steps():
        training = _training(recipe, data)
        return _without_order(recipe, data) if training is None else training.remembered()


def remember(recipe: Model[Any], data: TrainSet, fitted: FittedTransformer) -> None:
    """Remember a fit from random weights that another process made."""
    with fit_of_small_steps():
        training = _training(recipe, data)
    if training is not None:
        training.remember(fitted)


def forget() -> None:
    """Forget the latest fits: the next one is made anew."""
    _FITTED.clear()


def _training(
    recipe: Model[Any], data: TrainSet, start: FittedTransformer | None = None, epochs: int | None = None
) -> "Training | None":
    """Return a training before its first epoch; None where no order is known to learn from."""
    if not isinstance(recipe.config, TransformerConfig):
        data = data.without_features()
    sequences = _sequences(data)
    if not any(len(items) > 1 for items in sequences):
        return None
    exactly = recipe.config.exact_epochs if epochs is None else epochs
    return Training(recipe, data, sequences, None if start is None or not start.items.shape[1] else start, exactly)


def _sequences(data: TrainSet) -> list[Indices]:
    if data.order is None:
        return []
    return sequences_of(Query.of(data.interactions, data.order), data.n_items)


def _without_order(recipe: Model[Any], data: TrainSet) -> FittedTransformer:
    none = np.zeros((0, 0), np.float32)
    return FittedTransformer(recipe, data.warm, np.zeros((data.n_items, 0), np.float32), none, none, {})


class Dropout(torch.nn.Module):
    """Sets a share of the cells to 0 in training; on processors in a quarter of the time of torch's own."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what is left, scaled up to the same mean."""
        if not self.training or not self.share:
            return x
        return x * (torch.rand(x.shape, device=x.device) >= self.share) / (1 - self.share)


class Block(torch.nn.Module):
    """One gated pre-norm block."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, Dropout(dropout)
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        linear = torch.nn.Linear
        self.q, self.k, self.v, self.out = (linear(width, width, bias=False) for _ in range(4))
        self.gate1, self.gate2 = linear(width, width), linear(width, width)
        self.inner, self.outer = linear(width, 4 * width, bias=False), linear(width, 4 * width, bias=False)
        self.down = linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what comes out (B, T, d) of inputs (B, T, d)."""
        normed = self.norm1(x)
        q, k, v = (part(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        attended = _attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.dropout(self.out(attended) * torch.sigmoid(self.gate1(x)))
        normed = self.norm2(x)
        fed = self.down(functional.silu(self.inner(normed)) * self.outer(normed))
        out: torch.Tensor = x + self.dropout(fed * torch.sigmoid(self.gate2(x)))
        return out

    def arrays(self) -> State:
        """Return the weights as :class:`FittedTransformer` names them: matrices by which rows are multiplied."""
        named = {name: getattr(self, name).weight.T for name in _MATRICES}
        named |= {f"{name}_scale": getattr(self, name).weight for name in _NORMS}
        named |= {f"{name}_shift": getattr(self, name).bias for name in (*_NORMS, *_GATES)}
        return {name: tensor.detach().cpu().numpy().copy() for name, tensor in named.items()}

    def take_over(self, arrays: State) -> None:
        """Put :meth:`arrays` in place."""
        for name in _MATRICES:
            getattr(self, name).weight.copy_(torch.from_numpy(arrays[name].T.copy()))
        for name in _NORMS:
            getattr(self, name).weight.copy_(torch.from_numpy(arrays[f"{name}_scale"].copy()))
        for name in (*_NORMS, *_GATES):
            getattr(self, name).bias.copy_(torch.from_numpy(arrays[f"{name}_shift"].copy()))


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return what each place (B, heads, T, d / heads) reads of those before it and of itself."""
    if q.device.type != "cpu":
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    with torch.autocast("cpu", enabled=False):  # on processors it takes three times as long in bf16
        return functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)


class Net(torch.nn.Module):
    """The whole model over the items with interactions (n_w of n_items)."""

    features: torch.Tensor
    """Texts of these items (n_w, m)."""

    def __init__(self, config: SASRecConfig, n_items: int, features: torch.Tensor) -> None:
        super().__init__()
        d = config.width
        self.ids = torch.nn.Parameter(torch.randn(n_items, d) * 0.02)
        self.text_map = torch.nn.Parameter(torch.randn(features.shape[1], d) * 0.02)
        self.positions = torch.nn.Parameter(torch.randn(config.max_length, d) * 0.02)
        self.blocks = torch.nn.ModuleList(Block(d, config.heads, config.dropout) for _ in range(config.layers))
        self.norm, self.dropout = torch.nn.LayerNorm(d), Dropout(config.dropout)
        self.register_buffer("features", features, persistent=False)
        self.id_dropout = config.id_dropout if isinstance(config, TransformerConfig) and features.shape[1] else 0.0

    def items(self, rows: torch.Tensor | None = None) -> torch.Tensor:
        """Return x_i of some items, or of all (n, d); in training without the vectors of their own of some."""
        ids: torch.Tensor = self.ids if rows is None else self.ids[rows]
        if self.training and self.id_dropout:
            ids = ids * (torch.rand(len(ids), 1, device=ids.device) >= self.id_dropout)
        features = self.features if rows is None else self.features[rows]
        return ids + features @ self.text_map if features.shape[1] else ids

    def forward(self, items: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
        """Return states (B, T, d) after each item of sequences (B, T); padding stands at the end."""
        x = self.dropout(functional.embedding(sequences, items) + self.positions[: sequences.shape[1]])
        for block in self.blocks:
            x = block(x)
        out: torch.Tensor = self.norm(x)
        return out


@dataclass(frozen=True)
class HeldOut:
    """Users whose last item chooses the epoch."""

    histories: list[Indices]
    targets: Indices


class Training:
    """One training, an epoch at a time; :func:`fit` drives it."""

    def __init__(
        self,
        recipe: Model[Any],
        data: TrainSet,
        sequences: list[Indices],
        start: FittedTransformer | None,
        epochs: int | None,
    ) -> None:
        self.recipe, self.data, self.config, self.seed = recipe, data, recipe.config, recipe.seed
        self.exactly, self.start = epochs, start
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.columns = np.flatnonzero(data.counts > 0)
        place = np.full(data.n_items, -1, np.int64)
        place[self.columns] = np.arange(len(self.columns))
        every = [place[items] for items in sequences if len(items) > 1]
        self.sequences, self.held_out = self._hold_out(every) if epochs is None else (every, HeldOut([], place[:0]))
        torch.manual_seed(self.seed)
        features = torch.from_numpy(np.ascontiguousarray(data.item_features[self.columns], dtype=np.float32))
        self.net = Net(self.config, len(self.columns), features).to(self.device)
        if start is not None:
            self._take_over(start)
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=self.config.learning_rate, betas=(0.9, 0.98), fused=self.device.type == "cpu"
        )
        n_targets = sum(len(items) - 1 for items in self.sequences)
        self.batch_tokens = min(self.config.batch_tokens, -(-n_targets // _STEPS))
        #: Of the average of the weights, per step: it reaches over about an epoch.
        self.decay = 1 - 1 / max(n_targets / self.batch_tokens, _STEPS)
        self.fingerprint = self._fingerprint()
        self.average = self._weights()
        self.best, self.best_value = self._weights(), -np.inf
        self.done, self.stale, self.steps = 0, 0, 0

    def _hold_out(self, sequences: list[Indices]) -> tuple[list[Indices], HeldOut]:
        """Take the last item off some sequences of three items or more."""
        long = np.flatnonzero([len(items) > 2 for items in sequences])
        n_users = min(self.config.held_out_users, -(-len(long) // 5))
        drawn = np.sort(np.random.default_rng([self.seed, 5]).permutation(long)[:n_users])
        held_out = HeldOut([sequences[u][:-1] for u in drawn], np.array([sequences[u][-1] for u in drawn], np.int64))
        shorter = dict(zip(drawn.tolist(), held_out.histories, strict=True))
        return [shorter.get(u, items) for u, items in enumerate(sequences)], held_out

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: p.detach().clone() for name, p in self.net.named_parameters()}

    def _take_over(self, start: FittedTransformer) -> None:
        """Put the weights of a fitted model in place; an item that was cold starts from its text."""
        net = self.net
        with torch.no_grad():
            net.positions.copy_(torch.from_numpy(start.positions.copy()))
            net.text_map.copy_(torch.from_numpy(start.text_map.copy()))
            known = np.zeros((self.data.n_items, net.ids.shape[1]), np.float32)
            known[: start.n_items] = start.items
            known[start.n_items :] = start.of_texts(self.data.item_features[start.n_items :])
            of_texts = net.features @ net.text_map if net.features.shape[1] else torch.zeros_like(net.ids)
            net.ids.copy_(torch.from_numpy(known[self.columns]).to(self.device) - of_texts)
            for number, block in enumerate(net.blocks):
                cast(Block, block).take_over(part_of_state(start.blocks, str(number)))
            net.norm.weight.copy_(torch.from_numpy(start.blocks["norm_scale"].copy()))
            net.norm.bias.copy_(torch.from_numpy(start.blocks["norm_shift"].copy()))

    def wants_more(self) -> bool:
        """Tell whether another epoch is due."""
        if self.exactly is not None:
            return self.done < self.exactly
        return bool(self.done < self.config.epochs and self.stale < self.config.patience)

    def summary(self) -> str:
        """Say in one line how the training went."""
        if self.exactly is not None:
            return f"{self.recipe.name}: {self.done} {'' if self.start is None else 'more '}epochs"
        best = self.done - self.stale
        return f"{self.recipe.name}: epoch {best} of {self.done} ranks last items best, NDCG {self.best_value:.4f}"

    def run_epoch(self) -> None:
        """Run one epoch, measure it, and keep its weights if they are the best."""
        self.done += 1
        # Everything random in an epoch hangs on its number alone, so a resumed training draws the same.
        torch.manual_seed(self.seed * 100_003 + self.done)
        loss = self._train_epoch(np.random.default_rng([self.seed, 6, self.done]))
        value = self._measure() if self.exactly is None else float(self.done)
        log.debug("%s, epoch %d: loss %.4f, NDCG of last items %.4f", self.recipe.name, self.done, loss, value)
        self.stale = 0 if value > self.best_value else self.stale + 1
        if value > self.best_value:
            self.best, self.best_value = {name: p.clone() for name, p in self.average.items()}, value

    def _train_epoch(self, rng: np.random.Generator) -> float:
        batches = list(self._batches(rng))
        self.net.train()
        total = 0.0
        for sequences, targets in progress(batches, f"{self.recipe.name}, epoch {self.done}", "batch"):
            total += self._step(sequences, targets, rng)
        return total / max(len(batches), 1)

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Cut the sequences into windows, and yield those of like length together, in random order."""
        windows = [
            (items, start, min(start + self.config.max_length, len(items) - 1))
            for items in self.sequences
            for start in self._starts(len(items) - 1, rng)
        ]
        windows = [(items, max(start, 0), end) for items, start, end in windows if end > max(start, 0)]
        lengths = np.array([end - start for _, start, end in windows])
        by_length = np.lexsort((rng.random(len(windows)), lengths))
        groups = list(self._groups(by_length, lengths))
        for number in rng.permutation(len(groups)):
            chosen = [windows[row] for row in groups[number]]
            longest = max(end - start for _, start, end in chosen)
            cells = np.zeros((2, len(chosen), longest), np.int64)
            cells[1] = -1
            for row, (items, start, end) in enumerate(chosen):
                cells[:, row, : end - start] = items[start:end], items[start + 1 : end + 1]
            yield torch.from_numpy(cells[0]), torch.from_numpy(cells[1])

    def _starts(self, n_targets: int, rng: np.random.Generator) -> range:
        """Return where the windows of one sequence start; those of a long one are cut elsewhere in each epoch."""
        most = self.config.max_length
        return range(0, n_targets, most) if n_targets <= most else range(-int(rng.integers(most)), n_targets, most)

    def _groups(self, by_length: Indices, lengths: Indices) -> Iterator[Indices]:
        first = 0
        while first < len(by_length):
            last = first + 1
            while last < len(by_length) and (last + 1 - first) * lengths[by_length[last]] <= self.batch_tokens:
                last += 1
            yield by_length[first:last]
            first = last

    def _step(self, sequences: torch.Tensor, targets: torch.Tensor, rng: np.random.Generator) -> float:
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, self.steps / _WARM_UP)
        self.optimizer.zero_grad(set_to_none=True)
        known = targets >= 0
        drawn = self._draw(rng)
        # What the step needs of a large catalogue, so that no other text is read: cells are places among these items.
        inputs, following, used = sequences, targets[known], None
        if drawn is not None:
            used = torch.unique(torch.cat([inputs.flatten(), following, drawn]))
            inputs, following, drawn = (torch.searchsorted(used, cells) for cells in (inputs, following, drawn))
            used, drawn = used.to(self.device), drawn.to(self.device)
        with autocast():
            items = self.net.items(used)
            states = self.net(items, inputs.to(self.device))[known.to(self.device)]
            loss = self._loss(states, items, following.to(self.device), drawn)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        decay = min(self.decay, self.steps / (self.steps + 10))
        for name, p in self.net.named_parameters():
            self.average[name].lerp_(p.detach(), 1 - decay)
        return float(loss.item())

    def _draw(self, rng: np.random.Generator) -> torch.Tensor | None:
        """Draw the items of a step's softmax, in order; None where it is taken over all."""
        n = len(self.columns)
        if n <= self.config.max_softmax_items:
            return None
        return torch.from_numpy(np.sort(rng.choice(n, min(self.config.negatives, n), replace=False)))

    def _loss(
        self, states: torch.Tensor, items: torch.Tensor, targets: torch.Tensor, drawn: torch.Tensor | None
    ) -> torch.Tensor:
        if drawn is None:
            return functional.cross_entropy(states @ items.T, targets)
        others = (states @ items[drawn].T).float() + float(np.log(len(self.columns) / len(drawn)))
        place = torch.searchsorted(drawn, targets).clamp(max=len(drawn) - 1)
        (among,) = torch.nonzero(drawn[place] == targets, as_tuple=True)
        others[among, place[among]] = -torch.inf  # a target counts once
        of_target = (states * items[targets]).sum(dim=1)
        return (torch.logaddexp(of_target, torch.logsumexp(others, dim=1)) - of_target).mean()

    def _measure(self) -> float:
        """Return the NDCG of the held-out last items among all that their users had not taken, by averaged weights.

        Without a cut-off: of few users it jumps less than NDCG@20 does.
        """
        fitted, held_out, gains = self._export(self.average), self.held_out, []
        for rows in blocks(len(held_out.targets)):
            histories, targets = held_out.histories[rows], held_out.targets[rows]
            latest = [self.columns[items[-self.config.max_length :]] for items in histories]
            scores = fitted.forward(latest, np.array([len(items) for items in latest])) @ fitted.items[self.columns].T
            for row, items in zip(scores, histories, strict=True):
                row[items] = -np.inf
            above = (scores > scores[np.arange(len(targets)), targets][:, None]).sum(axis=1)
            gains.append(1 / np.log2(above + 2))
        return float(np.concatenate(gains).mean()) if gains else 0.0

    def remembered(self) -> FittedTransformer | None:
        """Return what an earlier training of the same learnt, if it is one of the latest."""
        if self.fingerprint not in _FITTED:
            return None
        _FITTED.move_to_end(self.fingerprint)
        return replace(_FITTED[self.fingerprint], recipe=self.recipe)

    def remember(self, fitted: FittedTransformer) -> FittedTransformer:
        """Keep what this training learnt, and return it."""
        _FITTED[self.fingerprint] = fitted
        while len(_FITTED) > _REMEMBERED:
            _FITTED.popitem(last=False)
        return fitted

    def export(self) -> FittedTransformer:
        """Return the model of the best epoch."""
        return self._export(self.best)

    def _export(self, weights: dict[str, torch.Tensor]) -> FittedTransformer:
        current = self._weights()
        self._put(weights)
        net, data = self.net.eval(), self.data
        text_map = net.text_map.detach().cpu().numpy().copy()
        items = np.asarray(data.item_features @ text_map, dtype=np.float32)
        items[self.columns] += net.ids.detach().cpu().numpy()
        norm = {"norm_scale": net.norm.weight, "norm_shift": net.norm.bias}
        blocks: State = {name: value.detach().cpu().numpy().copy() for name, value in norm.items()}
        for number, block in enumerate(net.blocks):
            arrays = cast(Block, block).arrays()
            blocks |= {f"{number}/{name}": value for name, value in arrays.items()}
        warm = np.zeros(data.n_items, dtype=bool)
        warm[self.columns] = True
        positions = net.positions.detach().cpu().numpy().copy()
        self._put(current)
        epochs = self.done - self.stale if self.start is None else self.start.epochs
        return FittedTransformer(self.recipe, warm, items, text_map, positions, blocks, epochs)

    def _put(self, weights: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                p.copy_(weights[name])

    def _fingerprint(self) -> str:
        """Return a hash of all that a training hangs on."""
        digest = hashlib.sha256(self.config.model_dump_json().encode())
        digest.update(repr((self.recipe.name, self.seed, self.exactly)).encode())
        for items in self.sequences:
            digest.update(items.tobytes() + b"|")
        for array in (self.columns, self.data.item_features, *([] if self.start is None else [self.start.items])):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def _checkpoint_file(self) -> Path | None:
        folder = checkpoints.folder()
        return folder / f"{self.recipe.name}_{self.fingerprint}.safetensors" if folder else None

    def save(self) -> None:
        """Write the checkpoint, where there is a folder for it."""
        path = self._checkpoint_file()
        if path is None:
            return
        tensors = ck.flatten("weights", self._weights()) | ck.flatten("average", self.average)
        tensors |= ck.flatten("best", self.best) | ck.flatten("optimizer", ck.optimizer_tensors(self.optimizer))
        counters = {name: getattr(self, name) for name in ("done", "stale", "steps", "best_value")}
        path.parent.mkdir(parents=True, exist_ok=True)
        ck.Checkpoint(self.fingerprint, counters, tensors).save(path)

    def resume(self) -> None:
        """Go on where an interrupted training of the same stopped."""
        path = self._checkpoint_file()
        checkpoint = ck.Checkpoint.load(path, self.fingerprint) if path else None
        if checkpoint is None:
            return
        self._put(ck.part("weights", checkpoint.tensors))
        self.average, self.best = (
            {key: value.to(self.device) for key, value in ck.part(name, checkpoint.tensors).items()}
            for name in ("average", "best")
        )
        ck.restore_optimizer(self.optimizer, ck.part("optimizer", checkpoint.tensors))
        for name, value in checkpoint.progress.items():
            setattr(self, name, value)
        log.info("Going on after epoch %d (%s)", self.done, path)

    def clear(self) -> None:
        """Remove the checkpoint of a finished training."""
        path = self._checkpoint_file()
        if path:
            path.unlink(missing_ok=True)
