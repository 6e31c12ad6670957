"""`make bench-user-text-lm`: whether an encoder tuned on users' texts does better than the ridge on the base model.

LoRA on the base model, shared by both sides: the text of a user against the texts of all trainable items,

    -log softmax_j (q·e_j / τ + log Q_j),   j an item that the user took and that the text is not about

q and e of length 1, Q the share of train interactions (so that the product is what a user takes more than others; Menon
et al. 2021, "Long-tail learning via logit adjustment"). Items that the user also took are no negatives. Embeddings of
items come from a memory, made anew every ``REFRESH`` steps; those of the batch's own targets carry gradients. Then the
texts of users are embedded by the tuned encoder in place of the base one, and the whole hybrid is fitted as in
`make bench-user-text`.
"""

import json
import sys

import numpy as np
import torch
from catalogues import RESULTS, Catalogue, Values, about, prepare, rounded, write
from cold_start import embed_frozen
from numpy.typing import NDArray
from scipy import sparse
from user_text import CASES, one_arm, table_of

from tailor import columns as c
from tailor.config import parse
from tailor.data.interactions import keep_items
from tailor.data.user_texts import IS_PRAISE, UserTexts, is_late
from tailor.lm.config import LMOptions, PeftOptions
from tailor.lm.encoder import Tokens, encode, load_base, pool, tokenise
from tailor.lm.peft import prepare as prepare_adapter
from tailor.metrics.significance import paired_bootstrap

SEEDS, TEMPERATURE, BATCH, STEPS, REFRESH, RATE = (0, 1, 2), 0.07, 64, 300, 100, 5e-4
RUN = ("planted", "ml100k_history")
TARGETS = {"*_to_base": "lower bound above 1: the objective would pay"}


class Tuned:
    """An encoder that is tuned from users' texts to the items they take."""

    def __init__(self, catalogue: Catalogue, case: str) -> None:
        """Load the base model and tokenise both sides."""
        self.options = parse(LMOptions, catalogue.params["lm_finetuning"], "lm_finetuning").encoder
        table = table_of(case, catalogue)
        self.table = table[~is_late(table)].reset_index(drop=True)
        self.codes, different = self.table[c.TEXT].factorize()
        torch.manual_seed(catalogue.seed)
        self.encoder = prepare_adapter(load_base(self.options), PeftOptions(), STEPS)
        self.texts = tokenise(list(different), self.options)
        self.items = tokenise(catalogue.data["item_text"][c.TEXT].tolist(), self.options)
        train = keep_items(catalogue.matrix(c.TRAIN), catalogue.trainable)
        self.train, self.trainable = sparse.csr_matrix(train), np.flatnonzero(catalogue.trainable)
        counts = np.bincount(train.indices, minlength=train.shape[1])[self.trainable]
        self.log_q = torch.from_numpy(np.log(np.maximum(counts, 1) / counts.sum()).astype(np.float32))
        rows = self.table[self.table[c.SPLIT].isin(["", c.TRAIN])].index.to_numpy()
        self.rows = rows[np.diff(self.train.indptr)[self.table["user"].to_numpy()[rows]] > 1]
        self.rng = np.random.default_rng([catalogue.seed, 9])

    def tune(self) -> list[float]:
        """Step through batches; return the loss of each."""
        parameters = [p for p in self.encoder.parameters() if p.requires_grad]
        optimizer, losses = torch.optim.AdamW(parameters, lr=RATE), []
        for step in range(STEPS):
            if step % REFRESH == 0:
                memory, centres = self._memory()
            self.encoder.train()
            optimizer.zero_grad(set_to_none=True)
            loss = self._loss(memory, *centres)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(float(loss.item()))
        return losses

    def _memory(self) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Embed all items, and return the centres of both sides."""
        items = torch.from_numpy(self._pooled(self.items))[self.trainable]
        texts = torch.from_numpy(self._pooled(self.texts)).mean(dim=0)
        return torch.nn.functional.normalize(items - items.mean(dim=0), dim=1), (texts, items.mean(dim=0))

    def _pooled(self, tokens: Tokens) -> NDArray[np.float32]:
        return encode(self.encoder, tokens, self.options.batch_size, "encode", self.options.pooling)

    def _loss(self, memory: torch.Tensor, of_texts: torch.Tensor, of_items: torch.Tensor) -> torch.Tensor:
        rows = self.rng.choice(self.rows, min(BATCH, len(self.rows)), replace=False)
        users, about_item = self.table["user"].to_numpy()[rows], self.table["item"].to_numpy()[rows]
        taken = [np.setdiff1d(self.train[[user]].indices, [item]) for user, item in zip(users, about_item, strict=True)]
        target = np.array([self.rng.choice(items) for items in taken])
        q = pool(self.encoder, self.texts.batch(self.codes[rows].astype(np.int64)), self.options.pooling) - of_texts
        e = pool(self.encoder, self.items.batch(target.astype(np.int64)), self.options.pooling) - of_items
        place = torch.from_numpy(np.searchsorted(self.trainable, target))
        items = memory.index_copy(0, place, torch.nn.functional.normalize(e, dim=1))
        logits = torch.nn.functional.normalize(q, dim=1) @ items.T / TEMPERATURE + self.log_q
        positive = torch.from_numpy(self.train[users][:, self.trainable].toarray() > 0)
        positive[torch.arange(len(place)), place] = False
        return torch.nn.functional.cross_entropy(logits.masked_fill(positive, -torch.inf), place)

    def user_texts(self) -> UserTexts:
        """Embed the texts of users by the encoder as it stands."""
        vectors = self._pooled(self.texts)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        users, items = (self.table[name].to_numpy(dtype=np.int64) for name in ("user", "item"))
        return UserTexts(users, items, self.table[IS_PRAISE].to_numpy(), self.codes.astype(np.int64), vectors)


def one_case(case: str) -> dict[str, float]:
    """Return NDCG on the base model's embeddings and on tuned ones, and their ratios with intervals."""
    arms: dict[str, list[Values]] = {"base": [], "tuned": []}
    for seed in SEEDS:
        catalogue = prepare(CASES[case], seed)
        vectors, tuned = embed_frozen(catalogue), Tuned(catalogue, case)
        base = tuned.user_texts()
        arms["base"].append(one_arm(catalogue, vectors, base, base))
        losses = tuned.tune()
        print(f"{case}, seed {seed}: loss {np.mean(losses[:20]):.3f} -> {np.mean(losses[-20:]):.3f}")
        arms["tuned"].append(one_arm(catalogue, vectors, tuned.user_texts(), base))
    figures: dict[str, float] = {}
    for name in arms["base"][0]:
        base, tuned = (np.concatenate([of_seed[name] for of_seed in arms[arm]]) for arm in ("base", "tuned"))
        compared, mean = paired_bootstrap(tuned, base), float(np.nanmean(base))
        figures |= {f"{case}_{name}_base": mean, f"{case}_{name}_tuned": float(np.nanmean(tuned))}
        figures |= {
            f"{case}_{name}_to_base": 1 + compared.difference / mean,
            f"{case}_{name}_to_base_low": 1 + compared.low / mean,
            f"{case}_{name}_to_base_high": 1 + compared.high / mean,
        }
    return rounded(figures)


def main() -> None:
    """Measure the cases named on the command line, or both; write as each is done."""
    path = RESULTS / "user_text_lm.json"
    earlier = json.loads(path.read_text()) if path.is_file() and sys.argv[1:] else {}
    headline, commits = earlier.get("headline", {}), earlier.get("commits", {})
    for case in sys.argv[1:] or RUN:
        headline |= one_case(case)
        made = about("make bench-user-text-lm", list(SEEDS))
        commits |= {case: made["commit"]}
        size = {"steps": STEPS, "batch": BATCH, "temperature": TEMPERATURE}
        write(path, {"headline": headline, "targets": TARGETS, "size": size, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
