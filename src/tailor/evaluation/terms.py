"""Words of the report, explained where they stand: what docs/glossary.md says, and what each column measures."""

from collections.abc import Iterable
from contextlib import suppress

from tailor.errors import ConfigurationError
from tailor.evaluation import measure  # noqa: F401  (imports whatever registers metrics)
from tailor.metrics.base import ALL, Headline, headlines
from tailor.models.registry import model_class

#: As the glossary has them (tests/unit/evaluation/test_stages.py compares).
TERMS = {
    "NDCG@k": "hits in the first k places, those at the top count more; 1 is the best list, 0 one without a hit",
    "hit": "a listed item that its user took later, in the test window",
    "full ranking": "every item that may be listed competes, not a sample of them",
    "interval": "95 % of 2000 resamples of the users give a value inside",
    "verdict": "better, worse, or no difference shown, after Holm's correction",
    "baseline": "a model that the hybrid is compared with, tuned with the same number of trials",
    "plain collaborative filtering": "a factorization of the interactions alone: no texts, no order, no profiles",
    "head": "the most popular items that together hold `head_share` of the train interactions of a domain",
    "tail": "the other warm items; metric and boost read one definition",
    "warm item": "an item with train interactions",
    "cold item": "an item that the split holds out of training; its interactions in the test window are to be found",
    "new user": "a user whose rows are all outside training",
    "bucket": "head, tail, cold or unseen of items; quartile of activity, or new, of users",
    "taste": "niche, mixed or blockbuster: a user's share of head items in the train history, "
    "cut at 20 % and 80 % of the users",
    "group gap": "from the mean of the best group of users to that of the worst",
    "boost": "a strength in [0, 1] by which cold or tail items are lifted; at 0 no score is touched",
    "operating point": "the largest setting whose loss of accuracy stays within a stated limit",
    "trade-off curve": "accuracy and exposure at each setting of a boost or re-ranker",
    "re-ranker": "chooses a list from a pool of the best candidates: `mmr`, `dpp`, `calibrated`, `tail`, `caps`",
    "source": "one model inside the hybrid; an entry of `hybrid_cf.sources`",
    "blend weights": "what validation chose: warm, cold and few-shot weights by source name, and the cold shift",
    "cold shift": "a constant added to cold items, put where mixed lists are most accurate",
    "explanation": "exact parts of a score: by source, by what is no source's, and by history item",
    "path": "how a request was answered: `known_user`, `fold_in`, `query`, `not_understood`, `user_text`, `profile`, "
    "`popular`",
}
_HYBRIDS = {
    "hybrid_frozen": "All sources in one score, blended on validation; texts are read by the language model as it is.",
    "hybrid_lora": "The same with the language model tuned on this catalogue.",
}
_CANDIDATES = {
    "warm": "lists of warm items",
    "cold": "lists of cold items",
    "mixed": "lists of all items, as in production",
}


def explain_terms(*names: str) -> list[tuple[str, str]]:
    """Return terms with their meanings, in this order."""
    return [(name, TERMS[name].replace("`", "")) for name in names]


def explain_models(names: Iterable[str]) -> list[tuple[str, str]]:
    """Say what each model is: the first sentence of its description.

    Args:
        names: of lists; one that is not registered is left out.
    """
    about = {}
    for name in names:
        with suppress(ConfigurationError):
            about[name] = _HYBRIDS.get(name) or _first_sentence(model_class(name).__doc__).replace("`", "")
    return list(about.items())


def explain_columns(columns: list[str]) -> list[tuple[str, str]]:
    """Say what each column of the summary measures: its metric, and on which lists.

    Args:
        columns: titles; what is no headline is left out.
    """
    by_title = {
        line.title: f"{_first_sentence(metric.function.__doc__)} {_where(line)}." for metric, line in headlines()
    }
    return [(title, by_title[title]) for title in columns if title in by_title]


def _where(line: Headline) -> str:
    where = _CANDIDATES.get(line.candidates, f"lists of {line.candidates} items")
    if line.item_bucket != ALL:
        where += f", counting {line.item_bucket} items alone"
    if line.user_bucket.startswith("new_"):
        where += f", for new users of whom {line.user_bucket.removeprefix('new_')} items are known"
    return f"On {line.split}: {where}"


def _first_sentence(text: str | None) -> str:
    first = " ".join((text or "").strip().split("\n\n", maxsplit=1)[0].split())
    return first if not first or first.endswith(".") else f"{first}."
