r"""What the embeddings must predict: the exact implicit loss, co-consumed items, categories, or all three.

With the user factors U (U, d) of a teacher fixed, the part of the iALS loss that item i's factor v appears in is

    q_i(v) = Σ_(u∈i) (1 - u·v)² + α vᵀ(UᵀU)v = (v - v*_i)ᵀ A_i (v - v*_i) + const,  A_i = Σ_(u∈i) u uᵀ + α UᵀU

so reading each item once an epoch puts the whole user base in the loss, with no negative sampling
(docs/explanation/mathematics.md, section "Language-model objective").
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch.nn import functional as F  # noqa: N812

from tailor.errors import ConfigurationError
from tailor.lm.config import KernelLossOptions, ObjectiveOptions
from tailor.lm.kernel_ridge import LeftOut, kernel

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """One co-consumed partner per item of a batch."""

    partners: Rows
    """(B,)."""
    forbidden: NDArray[np.bool_]
    """(B, B): partner b is no negative of item a."""


@dataclass(frozen=True)
class Examples:
    """A batch as an objective sees it."""

    rows: Rows
    """Items (B,)."""
    embedded: torch.Tensor
    """Their embeddings (B, m)."""
    pairs: Pairs | None = None
    partners: torch.Tensor | None = None
    """Embeddings of ``pairs.partners`` (B, m)."""
    perturbed: bool = False
    """Whether the batch was read before without a perturbation."""


class Objective(torch.nn.Module, ABC):
    """A loss over the embeddings of a batch of items, with trainable heads."""

    #: Whether the loss reads a co-consumed partner of every item.
    needs_partners = False

    def begin(self, rows: Rows, embed: Callable[[Rows], NDArray[np.float32]]) -> None:
        """Get ready for the batches of an epoch (n,), whose items ``embed`` gives the embeddings (n, m) of."""

    @abstractmethod
    def forward(self, batch: Examples) -> torch.Tensor:
        """Return the mean loss of the batch."""


class QuadraticObjective(Objective):
    """The implicit loss of the item's factor, predicted by a linear head."""

    users: torch.Tensor
    gram: torch.Tensor
    weights: torch.Tensor
    head: torch.nn.Parameter

    def __init__(
        self,
        user_factors: NDArray[np.float32],
        train: sparse.csr_matrix,
        head: torch.Tensor,
        alpha: float,
        power: float,
        label_smoothing: float = 0.0,
    ) -> None:
        """Build from the teacher's side.

        Args:
            user_factors: U (U, d).
            train: what the teacher was fitted on (U, n_items).
            head: Wᵀ (d, m + 1) to start from, last column the bias.
            alpha: α.
            power: item i weighs w_i = (n_i + α U)^-power, scaled to mean 1.
            label_smoothing: observed cells aim at 1 - this.
        """
        super().__init__()
        users = torch.from_numpy(np.ascontiguousarray(user_factors, dtype=np.float32))
        self.by_item = sparse.csr_matrix(train.T)
        weights = (np.diff(self.by_item.indptr) + alpha * len(user_factors)) ** -power
        self.register_buffer("users", users)
        self.register_buffer("gram", alpha * users.T @ users)
        self.register_buffer("weights", torch.from_numpy((weights / weights.mean()).astype(np.float32)))
        self.head = torch.nn.Parameter(head)
        self.target = 1.0 - label_smoothing

    def factors(self, embedded: torch.Tensor) -> torch.Tensor:
        """Predict item factors (B, d)."""
        return embedded @ self.head[:, :-1].T + self.head[:, -1]

    def of_factors(self, factors: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Return the mean over the batch of w_i q_i(v_i), factors v (B, d)."""
        block = self.by_item[rows].tocoo()
        item, user = (torch.from_numpy(ids.astype(np.int64)).to(factors.device) for ids in (block.row, block.col))
        # index_select, not indexing: the gradient of indexing adds in no fixed order, so runs would differ in bits.
        residual = (self.target - (factors.index_select(0, item) * self.users[user]).sum(dim=1)) ** 2
        observed = torch.zeros(len(rows), device=factors.device).index_add(0, item, residual)
        everything = ((factors @ self.gram) * factors).sum(dim=1)
        return ((observed + everything) * self.weights[torch.from_numpy(rows).to(factors.device)]).mean()

    def forward(self, batch: Examples) -> torch.Tensor:
        """Return the loss of the predicted factors."""
        return self.of_factors(self.factors(batch.embedded), batch.rows)


@dataclass(frozen=True)
class Landmarks:
    """Items whose embeddings stand, for the kernel that predicts other items from them."""

    embedded: NDArray[np.float32]
    """(c, m)."""
    factors: NDArray[np.float32]
    """Of the teacher (c, d)."""

    def below(
        self, embedded: NDArray[np.float32], factors: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return embeddings (n, m) and factors (n, d) with those of these items below them."""
        return np.vstack([embedded, self.embedded]), np.vstack([factors, self.factors])


class KernelObjective(Objective):
    """The mean of w_i q_i(v̂_i) over an epoch's items, differentiated in the embeddings of a batch of them.

    The equations (:class:`tailor.lm.kernel_ridge.LeftOut`) are solved again after ``refresh`` items, for the embeddings
    that the items had when they were last read; between, what a pair of items is worth (W) stands, and the kernel
    between the batch and all items moves.
    """

    def __init__(
        self,
        quadratic: QuadraticObjective,
        item_factors: NDArray[np.float32],
        options: KernelLossOptions,
        beside: "Landmarks | None" = None,
    ) -> None:
        """Build over a teacher's items.

        Args:
            quadratic: the loss of a factor.
            item_factors: V (n_items, d).
            options: width, ridge, items between two solutions.
            beside: other items that predict these too, and that no loss is of; None: there are none.
        """
        super().__init__()
        self._loss = quadratic.of_factors
        self._factors = item_factors
        self._options = options
        self._beside = beside
        self._positions = np.full(len(item_factors), -1, np.int64)
        self._read: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._since = 0

    def begin(self, rows: Rows, embed: Callable[[Rows], NDArray[np.float32]]) -> None:
        """Take the items of the next batches and their embeddings."""
        self._rows = np.unique(rows)
        self._positions[:] = -1
        self._positions[self._rows] = np.arange(len(self._rows))
        e, V = embed(self._rows), self._factors[self._rows]
        if self._beside is not None:
            e, V = self._beside.below(e, V)
        self._memory, self._targets = torch.from_numpy(e).double(), torch.from_numpy(V).double()
        self._read, self._since = [], self._options.refresh

    def forward(self, batch: Examples) -> torch.Tensor:
        """Return the loss of all items; its gradient is the batch's part, in the scale of a mean over the batch."""
        on = batch.embedded.device
        if self._since >= self._options.refresh and not batch.perturbed:
            self._solve(on)
        self._since += 0 if batch.perturbed else len(batch.rows)
        items, first = np.unique(batch.rows, return_index=True)
        positions = torch.from_numpy(self._positions[items]).to(on)
        e = batch.embedded.index_select(0, torch.from_numpy(first).to(on)).double()
        moved = (self._gradient(positions) * kernel(e, self._memory, self._options.width)).sum()
        moved = moved * (len(self._rows) / len(items))
        if not batch.perturbed:
            self._read.append((positions, e.detach()))
        return (self._value + moved - moved.detach()).float()

    def _solve(self, on: torch.device) -> None:
        """Solve for the items as they stand; keep the loss and its gradient in the kernel."""
        self._memory, self._targets = self._memory.to(on), self._targets.to(on)
        for positions, e in self._read:
            self._memory[positions] = e
        self._read, self._since = [], 0
        solution = LeftOut.solve(self._memory, self._targets, self._options.width, self._options.ridge)
        predicted = solution.predicted().float().requires_grad_()
        loss = self._loss(predicted[: len(self._rows)], self._rows)
        (of_predicted,) = torch.autograd.grad(loss, predicted)
        self._value, self._gradient = loss.detach(), solution.gradient(of_predicted.double())


class PairSampler:
    """Draws for an item one of its users, then another item of that user's train history."""

    def __init__(self, train: sparse.csr_matrix) -> None:
        """Take the train matrix (U, n_items), restricted to trainable items; both sides are kept as CSR."""
        self.by_user, self.by_item = sparse.csr_matrix(train), sparse.csr_matrix(train.T)
        counts = np.diff(self.by_item.indptr)
        self.log_q = np.log(np.maximum(counts, 1) / max(counts.sum(), 1)).astype(np.float32)

    def draw(self, rows: Rows, rng: np.random.Generator) -> Pairs:
        """Return a partner per item; an item whose user has nothing else is paired with itself and adds no loss."""
        user = self.by_item.indices[_one_of_each(self.by_item, rows, rng)].astype(np.int64)
        cell = _one_of_each(self.by_user, user, rng)
        start, n = self.by_user.indptr[user], np.diff(self.by_user.indptr)[user]
        same = self.by_user.indices[cell] == rows
        cell = np.where(same, start + (cell - start + 1) % n, cell)
        partners = self.by_user.indices[cell].astype(np.int64)
        history = np.asarray(self.by_user[user][:, partners].toarray() > 0)
        is_anchor = partners[None, :] == rows[:, None]
        is_same_partner = partners[None, :] == partners[:, None]
        return Pairs(partners, (history | is_anchor | is_same_partner) & ~np.eye(len(rows), dtype=bool))


def _one_of_each(matrix: sparse.csr_matrix, rows: Rows, rng: np.random.Generator) -> Rows:
    """Draw one stored cell of each row; return their positions in ``matrix.indices``."""
    n = np.diff(matrix.indptr)[rows]
    return np.asarray(matrix.indptr[rows] + (rng.random(len(rows)) * n).astype(np.int64))


class ContrastiveObjective(Objective):
    """Softmax over the batch's partners: InfoNCE with logQ correction (Yi et al. 2019, eq. 4).

    A batch draws popular items more often as negatives; taking log Q(j) off the logit of j undoes that. Items that the
    anchor's user also consumed are no negatives.
    """

    needs_partners = True
    log_q: torch.Tensor

    def __init__(self, log_q: NDArray[np.float32], temperature: float, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("log_q", torch.from_numpy(log_q))
        self.temperature, self.label_smoothing = temperature, label_smoothing

    def forward(self, batch: Examples) -> torch.Tensor:
        """Return the mean cross-entropy of the true partner among those of the batch."""
        pairs, partners, on = batch.pairs, batch.partners, batch.embedded.device
        if partners is None or pairs is None:
            raise ValueError("the contrastive objective needs a partner for every item")
        log_q = self.log_q[torch.from_numpy(pairs.partners).to(on)]
        logits = batch.embedded @ partners.T / self.temperature - log_q
        allowed = torch.from_numpy(~pairs.forbidden).to(on)
        log_p = logits.masked_fill(~allowed, -torch.inf).log_softmax(dim=1)
        true_partner = log_p.diagonal()
        spread = log_p.masked_fill(~allowed, 0.0).sum(dim=1) / allowed.sum(dim=1)
        each = -(1 - self.label_smoothing) * true_partner - self.label_smoothing * spread
        useful = torch.from_numpy((pairs.partners != batch.rows).astype(np.float32)).to(on)
        return (each * useful).sum() / useful.sum().clamp(min=1)


class CategoryObjective(Objective):
    """Binary cross-entropy of every category from the embedding."""

    def __init__(self, categories: sparse.csr_matrix, width: int) -> None:
        super().__init__()
        self.categories = sparse.csr_matrix(categories, dtype=np.float32)
        self.head = torch.nn.Linear(width, categories.shape[1])

    def forward(self, batch: Examples) -> torch.Tensor:
        """Return the mean over items and categories."""
        truth = torch.from_numpy(self.categories[batch.rows].toarray()).to(batch.embedded.device)
        return F.binary_cross_entropy_with_logits(self.head(batch.embedded), truth)


class Multitask(Objective):
    """A weighted sum of objectives."""

    def __init__(self, parts: list[tuple[float, Objective]]) -> None:
        super().__init__()
        self.parts = torch.nn.ModuleList(part for _, part in parts)
        self.part_weights = [weight for weight, _ in parts]
        self.needs_partners = any(part.needs_partners for _, part in parts)

    def begin(self, rows: Rows, embed: Callable[[Rows], NDArray[np.float32]]) -> None:
        """Get every part ready."""
        for part in self.parts:
            if isinstance(part, Objective):
                part.begin(rows, embed)

    def forward(self, batch: Examples) -> torch.Tensor:
        """Return Σ_t w_t loss_t."""
        losses = [w * part(batch) for w, part in zip(self.part_weights, self.parts, strict=True)]
        return torch.stack(losses).sum()


def build_objective(
    options: ObjectiveOptions,
    user_factors: NDArray[np.float32],
    train: sparse.csr_matrix,
    head: torch.Tensor,
    categories: sparse.csr_matrix | None,
    item_factors: NDArray[np.float32] | None,
    beside: Landmarks | None = None,
) -> tuple[Objective, QuadraticObjective | None]:
    """Return the objective and, where it has one, its quadratic part (whose head predicts factors).

    ``item_factors``: of the teacher, for the kernel's loss; None leaves it out. ``beside``: items that the kernel
    regresses on too, see :class:`KernelObjective`.

    Raises:
        ConfigurationError: the name needs something the catalogue does not have.
    """
    smoothing = options.label_smoothing
    quadratic = QuadraticObjective(user_factors, train, head, options.alpha, options.item_weight_power, smoothing)
    contrastive = ContrastiveObjective(PairSampler(train).log_q, options.temperature, smoothing)
    if options.name == "contrastive":
        return contrastive, None
    parts: list[tuple[float, Objective]] = [(1.0, quadratic)]
    if options.name == "multitask":
        parts += _more_tasks(options, contrastive, categories, head.shape[1] - 1)
    if item_factors is not None:
        parts.append((options.kernel.weight, KernelObjective(quadratic, item_factors, options.kernel, beside)))
    return (Multitask(parts) if len(parts) > 1 else quadratic), quadratic


def _more_tasks(
    options: ObjectiveOptions, contrastive: ContrastiveObjective, categories: sparse.csr_matrix | None, width: int
) -> list[tuple[float, Objective]]:
    """Return what ``multitask`` adds, with weights.

    Raises:
        ConfigurationError: nothing.
    """
    tasks: list[tuple[float, Objective]] = []
    if options.contrastive_weight:
        tasks.append((options.contrastive_weight, contrastive))
    if options.category_weight and categories is not None and categories.shape[1]:
        tasks.append((options.category_weight, CategoryObjective(categories, width)))
    if not tasks:
        raise ConfigurationError(
            "lm_finetuning.objective.name = 'multitask' has one task only: give contrastive_weight > 0, or "
            "category_weight > 0 and feature_engineering.text.categories.column."
        )
    return tasks
