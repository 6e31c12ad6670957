"""The model card: what a registered version is, in Markdown that fits the registry."""

from dataclasses import dataclass

import pandas as pd

from tailor import columns as c
from tailor.evaluation.groups import TASTE
from tailor.evaluation.protocol import FITTED
from tailor.evaluation.tables import NOTHING
from tailor.types import JsonObject

#: Characters that MLflow keeps of a version's description.
MAX_LENGTH = 5000
#: Gaps by profile columns that it names.
_N_GAPS = 3


@dataclass(frozen=True)
class Card:
    """What a model card is made of."""

    registered: JsonObject
    """Of the version: name, version, model, fit_on, evaluated_fit_on, seed, data_hash, split_hash, git_commit."""
    best: pd.DataFrame
    """Comparisons with the best baselines, as of :func:`tailor.evaluation.headlines.best_baselines`."""
    figures: dict[str, float]
    """Headline figures by name."""
    data_summary: pd.DataFrame
    """Counts by what and label."""
    k: int
    group_gaps: pd.DataFrame | None = None
    """From the best group of users to the worst, as of :func:`tailor.evaluation.groups.measure_groups`."""
    user_quantiles: pd.DataFrame | None = None
    """Over users, likewise."""
    sample: str = ""
    """Of how many users figures are, :func:`tailor.evaluation.user_sample.describe_sample`; empty: of all."""


def build(card: Card) -> str:
    """Return the card in Markdown, at most :data:`MAX_LENGTH` characters; figures by name go first where it is long."""
    of = card.registered
    fixed = [
        f"# {of['name']}, version {of['version']}: {of['model']}",
        _what_it_is(of),
        "## Data and split",
        _data(card),
        f"## Against the best baseline (test, full ranking, NDCG@{card.k} unless it says otherwise)",
        *([card.sample] if card.sample else []),
        _compared(card.best),
        *_for_whom(card),
        "## Not for",
        _NOT_FOR,
        "## Load and serve",
        _HOW_TO_LOAD.format(**of),
    ]
    lines = [f"* {name}: {value:.4f}" for name, value in card.figures.items()]
    return _fit(fixed, lines)


def _fit(fixed: list[str], lines: list[str]) -> str:
    """Put as many of the lines behind the fixed parts as there is room for."""
    text = "\n\n".join([*fixed, "## Figures\n"])
    for place, line in enumerate(lines):
        if len(text) + len(line) + 60 > MAX_LENGTH:
            text += f"\n* {len(lines) - place} more in the run"
            break
        text += f"\n{line}"
    return text[:MAX_LENGTH]


def _what_it_is(of: JsonObject) -> str:
    fitted = FITTED[of.get("evaluated_fit_on", c.TRAIN)]
    whose = _FIT_ON_ALL if of["fit_on"] == "all" else _FIT_ON_TRAIN
    return (
        "A hybrid recommender for the long tail: collaborative models and a language model of the items' texts in one "
        "score; their weights are the parameters `chosen.weights.*` of the run. "
        f"Seed {of['seed']}, code {of['git_commit'][:7]}.\n\n{whose} {fitted}"
    )


_FIT_ON_ALL = (
    "This version is fitted on all interactions. The figures below are those of the same recipe without the test rows, "
    "which is the artifact `evaluated` of the run: what knows the test rows cannot be measured on them."
)
_FIT_ON_TRAIN = "This version is the model that was measured, and the figures below are its own."


def _data(card: Card) -> str:
    lines = [f"* data {card.registered['data_hash']}, split {card.registered['split_hash']}"]
    for what, table in card.data_summary.groupby("what", sort=False):
        counts = ", ".join(f"{row['label']} {row['count']:,}" for row in table.to_dict(orient="records"))
        lines.append(f"* {what}: {counts}")
    return "\n".join(lines)


def _compared(best: pd.DataFrame) -> str:
    if not len(best):
        return "There was no baseline to compare with."
    lines = [
        "| figure | this model | best baseline | ratio [95 %] | difference [95 %] | |",
        "|---|---|---|---|---|---|",
    ]
    for row in best.to_dict(orient="records"):
        of = {str(name): value for name, value in row.items()}
        ratio, difference = _interval(of, "ratio", "ratio_", ""), _interval(of, "difference", "", "+")
        cells = [f"{row['figure']:.4f}", f"{row['baseline_figure']:.4f} ({row['against']})", ratio, difference]
        lines.append(" | ".join(["| " + row["title"], *cells, f"{row['verdict']} |"]))
    return "\n".join(lines)


def _for_whom(card: Card) -> list[str]:
    """Say how far groups of users are apart, and how users are spread; nothing where that was not measured."""
    if card.group_gaps is None or card.user_quantiles is None:
        return []
    model, lines = card.registered["model"], []
    for row in _widest(card.group_gaps[card.group_gaps[c.MODEL] == model]).to_dict(orient="records"):
        gap = f"{row['gap']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        lines.append(f"* {row['headline']} NDCG by {row['grouping']}: {gap} from {row['best']} to {row['worst']}")
    for row in card.user_quantiles[card.user_quantiles[c.MODEL] == model].to_dict(orient="records"):
        spread = ", ".join(f"{row[f'q{place}']:.3f}" for place in ("05", "25", "50", "75", "95"))
        lines.append(f"* {row['headline']} NDCG of users at 5, 25, 50, 75, 95 %: {spread}")
    return ["## For whom", "\n".join(lines)] if lines else []


def _widest(gaps: pd.DataFrame) -> pd.DataFrame:
    """Return the gaps by taste, and the widest of the others: a card has room for a few."""
    by_taste = gaps["grouping"] == TASTE
    return pd.concat([gaps[by_taste], gaps[~by_taste].nlargest(_N_GAPS, "gap")])


def _interval(row: JsonObject, name: str, prefix: str, sign: str) -> str:
    values = [row[name], row[f"{prefix}low"], row[f"{prefix}high"]]
    if not all(abs(value) < float("inf") for value in values):
        return NOTHING
    middle, low, high = (f"{value:{sign}.3f}" for value in values)
    return f"{middle} [{low}, {high}]"


_NOT_FOR = f"""\
* Another catalogue: it knows the items it was fitted with; others are added by their texts, as cold items.
* What its figures do not say: intervals are over users of one split; another split and another fit vary more.
* Decisions about people. It ranks items by what users took; what was shown and not taken it does not know.
* Effects of showing: test rows are logged behaviour, `{c.TEST}` is no A/B test."""

_HOW_TO_LOAD = """```python
import mlflow, pandas as pd

model = mlflow.pyfunc.load_model("models:/{name}/{version}")
model.predict(pd.DataFrame({{"user_id": ["u1"], "history": [None]}}), params={{"k": 5}})
```

`tailor.load("models:/{name}/{version}")` is the same with types. Over HTTP: `make serve` (the app, the champion) or
`mlflow models serve -m models:/{name}/{version} --env-manager local`."""
