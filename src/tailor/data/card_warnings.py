"""Warnings of the data card: one sentence each, with the figure and the remedy."""

from collections.abc import Callable, Iterator

from tailor import columns as c
from tailor.data.card import Card, Script

#: Above this share of the interactions, one item speaks for the catalogue.
_DOMINANT = 0.3
#: Above this share of users, items or rows, a lack is the rule and no exception.
_HALF = 0.5
#: Above this share of the texts, truncation is worth a remedy.
_TRUNCATED = 0.1
#: Above this share of a table's rows, what is dropped may change what is measured.
_DROPPED = 0.1
#: Below these, differences between models are mostly chance.
_FEW_TEST_ROWS, _FEW_USERS, _FEW_ITEMS = 1000, 100, 100

Rule = Callable[[Card], Iterator[str]]


def warn(card: Card, base_model: str) -> list[str]:
    """Return one sentence for each thing that limits what a run on this catalogue can reach; none where all is well.

    Args:
        card: of the catalogue.
        base_model: name of the language model.
    """
    sentences = [sentence for rule in _RULES for sentence in rule(card)]
    return [*sentences, *_foreign_scripts(card.texts.scripts, base_model)]


def _small(card: Card) -> Iterator[str]:
    sizes = card.sizes
    if sizes.users < _FEW_USERS:
        yield (
            f"There {_are(sizes.users, 'user')}: little can be learnt from what others take, and differences between "
            "models are chance; add users, or read the figures as a try of the pipeline."
        )
    if sizes.items < _FEW_ITEMS:
        yield (
            f"There {_are(sizes.items, 'item')}: lists of 20 show much of the catalogue whatever the model; "
            "set evaluation.k to smaller cut-offs."
        )


def _short_histories(card: Card) -> Iterator[str]:
    if card.sizes.short_histories > _HALF:
        yield (
            f"{card.sizes.short_histories:.0%} of the users have fewer than five interactions: their test windows are "
            "short and few-shot weights decide; add interactions (views, clicks), or lower "
            "data_processing.cleaning.implicit_threshold."
        )


def _dominant_item(card: Card) -> Iterator[str]:
    if card.sizes.largest_share >= _DOMINANT and card.sizes.items > 1:
        yield (
            f"Item '{card.sizes.largest_item}' holds {card.sizes.largest_share:.0%} of the interactions: it is in "
            "every list and lifts every model's accuracy; leave it out of the interactions if it is a default or a "
            "gift."
        )


def _texts(card: Card) -> Iterator[str]:
    texts = card.texts
    if texts.empty >= _HALF:
        yield (
            f"{texts.empty:.0%} of the items have no text: cold items among them cannot be placed; map more columns in "
            "data_processing.columns.items and name them in feature_engineering.text.item_template."
        )
    for use in texts.columns:
        if use.empty >= _HALF and texts.empty < _HALF:
            yield (
                f"Column '{use.column}' is empty for {use.empty:.0%} of the items: texts hardly gain by it; fill it, "
                "or take it out of feature_engineering.text.item_template."
            )
    if texts.truncated > _TRUNCATED:
        yield (
            f"About {texts.truncated:.0%} of the texts are longer than {texts.max_length} tokens and will be cut "
            "(an estimate); raise lm_finetuning.encoder.max_length, or put what matters first in "
            "feature_engineering.text.item_template."
        )


def _times(card: Card) -> Iterator[str]:
    times = card.times
    if not times.present:
        yield (
            "There are no times: the split is by hash, and sources that read the order of histories are left out; map "
            "a column to 'timestamp' in data_processing.columns.interactions if the catalogue has one."
        )
    elif times.constant:
        yield (
            f"All timestamps are the same ({times.first}): the order of every history is by hash; map the column that "
            "says when a user took an item."
        )
    elif times.ties > _HALF:
        yield (
            f"{times.ties:.0%} of the rows share user and timestamp with another row: their order is by hash; map a "
            "finer time if there is one."
        )
    if times.present and not times.readable:
        yield (
            f"Timestamps from {times.first} to {times.last} are no dates (seconds since 1970): their order is used, "
            "and no list can be ranked by what is new or trending; divide milliseconds by 1,000 if they are "
            "milliseconds."
        )


def _windows(card: Card) -> Iterator[str]:
    rows, buckets = card.split.get("interactions by split", {}), card.split.get("items by bucket", {})
    if rows.get(c.TEST, 0) < _FEW_TEST_ROWS:
        yield (
            f"There are {rows.get(c.TEST, 0):,} test rows: small differences between models cannot be shown; add "
            "interactions, or lower data_processing.split.train."
        )
    if not buckets.get(c.COLD) or not rows.get(c.COLD):
        yield (
            f"{buckets.get(c.COLD, 0):,} items are cold and {rows.get(c.COLD, 0):,} rows of them are in test windows: "
            "cold lists are not measured; raise data_processing.split.cold_items, or label rows 'cold' in a split of "
            "your own."
        )


def _dropped(card: Card) -> Iterator[str]:
    for row in card.accounts:
        rows_in, lost = int(row.get("rows_in", 0)), int(row.get("dropped", 0)) + int(row.get("skipped", 0))
        if rows_in and lost / rows_in > _DROPPED:
            yield (
                f"{lost / rows_in:.0%} of the rows of table '{row['table']}' ({lost:,} of {rows_in:,}) were dropped or "
                "skipped: see what was dropped below, and correct the file or the column mapping."
            )


def _are(count: int, noun: str) -> str:
    return f"is 1 {noun}" if count == 1 else f"are {count:,} {noun}s"


_RULES: tuple[Rule, ...] = (_small, _short_histories, _dominant_item, _texts, _times, _windows, _dropped)


def _foreign_scripts(scripts: list[Script], base_model: str) -> Iterator[str]:
    other = sum(script.share for script in scripts if script.name != "Latin")
    if other > _HALF / 2:
        yield (
            f"{other:.0%} of the letters of the texts are not Latin, and the language model is {base_model}: check "
            "that it reads these languages, or name one that does in lm_finetuning.encoder.base_model."
        )
