"""`make bench-user-text`: what texts of users add to the whole hybrid, beside the same texts dealt out at random.

* ``planted``: the fabricated catalogue of ENV=test; half of the users write a line about themselves in words that no
  item's text has. Only who takes what tells what they mean.
* ``planted_comments``: the same lines as comments on items that their users took, known with the item alone. Less than
  half of what users take is of their kind, so that a short history tells little.
* ``ml100k_profile``: MovieLens-100K, whose users write nothing: age, gender and occupation as a sentence.
* ``ml100k_history``: the same, the text of each item of the history as if the user had written it about the item.

Each arm fits the first option set of ``hybrid_cf.trials`` with the weights that validation gives it, on embeddings of
the frozen encoder; ``shuffled`` deals the texts out to other users. Known users: NDCG@20 of warm test lists. New users:
NDCG@20 after their first n items, those who write alone.
"""

import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
from catalogues import RESULTS, Catalogue, Values, about, known_user_ndcg, new_user_ndcg, prepare, rounded, write
from cold_start import embed_frozen
from numpy.typing import NDArray

from tailor import columns as c
from tailor.config import parse
from tailor.data.config import UserTextOptions
from tailor.data.fabricate import planted_catalogue, with_writers
from tailor.data.user_texts import UserTexts, is_late, write_user_texts
from tailor.hybrid.holdout import hold_out
from tailor.hybrid.model import Hybrid
from tailor.hybrid.operating_point import fit_blend
from tailor.lm import user_texts
from tailor.lm.config import LMOptions
from tailor.metrics.significance import paired_bootstrap

K, SEEDS, LENGTHS = 20, (0, 1, 2), (0, 1, 3)
#: Share of what users take that is of their own kind, of ``planted_comments``; by chance .25.
LOYALTY = 0.45
CASES = {"planted": "test", "planted_comments": "test", "ml100k_profile": "base", "ml100k_history": "base"}
TARGETS = {
    "planted_new_0_to_none": "> 1, lower bound above 1: only the texts tell these users apart",
    "planted_comments_new_1_to_none, planted_comments_new_3_to_none": "> 1, lower bound above 1",
    "planted_new_0_shuffled_to_none": "about 1: dealt out at random, the same texts add nothing",
}


def table_of(case: str, catalogue: Catalogue) -> pd.DataFrame:
    """Return what users write in one case."""
    interactions = catalogue.data["interactions"]
    if case == "ml100k_history":
        texts = catalogue.data["item_text"].set_index(c.ITEM)[c.TEXT]
        interactions = interactions.assign(**{c.TEXT: interactions[c.ITEM].map(texts)}).drop(columns=c.VALUE)
    if case == "planted_comments":
        lines = catalogue.users.set_index(c.USER)["about"]
        interactions = interactions.assign(**{c.TEXT: interactions[c.USER].map(lines)})
    template = {
        "planted": ["{about}"],
        "planted_comments": [],
        "ml100k_profile": ["I am {age} years old, {gender}, {occupation} by profession"],
        "ml100k_history": [],
    }[case]
    tables = (catalogue.users, catalogue.items, interactions)
    return write_user_texts(*tables, UserTextOptions(template=template, per_user=1000), ["", "nan", "none"])


def _tables(case: str, seed: int) -> dict[str, pd.DataFrame] | None:
    """Return the raw tables of a case that needs others than its environment has."""
    if case != "planted_comments":
        return None
    made = with_writers(planted_catalogue(seed, n_items=240, per_user=16, loyalty=LOYALTY), 0.5, seed)
    return {f"raw_{name}": getattr(made, name) for name in ("interactions", "items", "users")}


def texts_of(case: str, catalogue: Catalogue) -> UserTexts:
    """Embed what users write in one case, as ``lm_finetuning`` does; of rows before the test window."""
    table = table_of(case, catalogue)
    options = parse(LMOptions, catalogue.params["lm_finetuning"], "lm_finetuning").encoder
    return user_texts.encode(table, options, UserTextOptions().max_pieces).take(~is_late(table))


def shuffled(texts: UserTexts, seed: int) -> UserTexts:
    """Deal the texts out at random; who wrote, how much and about what stays."""
    return replace(texts, codes=np.random.default_rng([seed, 6]).permutation(texts.codes))


def one_arm(catalogue: Catalogue, vectors: NDArray[np.float32], texts: UserTexts, writers: UserTexts) -> Values:
    """Fit the hybrid with some texts; return NDCG per user: of known users, and of new ones after n items."""
    data, options, seed = catalogue.data, catalogue.hybrid_options, catalogue.seed
    rows = {name: data[f"{name}_matrix"] for name in ("train", "validation", "order", "reveal_order")}
    known = rows | {"side_features": data["side_features"], "user_texts": texts.arrays()}
    holdout = hold_out(catalogue.items, seed, options.blend.few_shot_share, **known)
    recipe = Hybrid(options.hybrid_config(options.trials["hybrid"][0]), seed)
    chosen = fit_blend(recipe.fit(holdout.train_set(vectors)), holdout, options.blend, options.k, seed)
    train = catalogue.train_set(catalogue.matrix(c.TRAIN), catalogue.warm, vectors).with_user_texts(texts)
    model = recipe.with_blend(chosen.weights).with_boosts(chosen.boosts).fit(train)
    known = known_user_ndcg(catalogue, model, catalogue.test_rules_with(texts), K)[c.WARM]
    write_something = np.isin(np.flatnonzero(catalogue.users[c.BUCKET] == "new"), writers.users)
    new = new_user_ndcg(catalogue, model, LENGTHS, K, texts)
    return {"known": known} | {name: np.where(write_something, values, np.nan) for name, values in new.items()}


def one_case(case: str, seeds: tuple[int, ...]) -> dict[str, float]:
    """Return figures of one case: mean NDCG of each arm, and ratios to the hybrid without texts with intervals."""
    arms: dict[str, list[Values]] = {"none": [], "texts": [], "shuffled": []}
    for seed in seeds:
        catalogue = prepare(CASES[case], seed, _tables(case, seed))
        vectors, texts = embed_frozen(catalogue), texts_of(case, catalogue)
        for arm, given in (("none", UserTexts.none()), ("texts", texts), ("shuffled", shuffled(texts, seed))):
            arms[arm].append(one_arm(catalogue, vectors, given, texts))
    figures: dict[str, float] = {}
    for name in arms["none"][0]:
        values = {arm: np.concatenate([of_seed[name] for of_seed in of_arm]) for arm, of_arm in arms.items()}
        base = float(np.nanmean(values["none"]))
        figures[f"{case}_{name}_none"] = base
        for arm, key in (("texts", f"{case}_{name}"), ("shuffled", f"{case}_{name}_shuffled")):
            compared = paired_bootstrap(values[arm], values["none"])
            figures[key] = float(np.nanmean(values[arm]))
            figures[f"{key}_to_none"] = 1 + compared.difference / base
            figures[f"{key}_to_none_low"], figures[f"{key}_to_none_high"] = (
                1 + compared.low / base,
                1 + compared.high / base,
            )
    return rounded(figures)


def main() -> None:
    """Measure every case, or those named on the command line; write as each is done."""
    path = RESULTS / "user_text.json"
    earlier = json.loads(path.read_text()) if path.is_file() and sys.argv[1:] else {}
    headline, commits = earlier.get("headline", {}), earlier.get("commits", {})
    for case in sys.argv[1:] or CASES:
        headline |= one_case(case, SEEDS)
        made = about("make bench-user-text", list(SEEDS))
        commits |= {case: made["commit"]}
        write(path, {"headline": headline, "targets": TARGETS, "size": {"k": K}, "commits": commits} | made)
    print(json.dumps(headline, indent=2))


if __name__ == "__main__":
    main()
