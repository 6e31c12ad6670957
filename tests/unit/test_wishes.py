"""The benchmark's plain-language queries in three languages: counts, keys, halves and filters of the three files."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "benchmarks" / "wishes"
CATALOGUES = ("movielens", "anime")
BASE = {"text", "language", "kind", "half"}
#: The keys that say what a query means: of each kind, those of which one is needed at least, and those allowed besides.
NEEDED = {
    "want": {"wanted"},
    "exclude": {"excluded"},
    "both": {"excluded", "softer"},
    "softer": {"wanted", "softer"},
    "date": {"filters"},
    "title": {"like"},
    "free": {"wanted"},
    "typo": {"wanted", "excluded"},
    "gibberish": set(),
    "off_topic": set(),
}
ALLOWED = {
    "both": {"wanted"},
    "date": {"wanted", "excluded"},
    "title": {"wanted", "excluded", "softer"},
}
LANGUAGES = {"en": 200, "zh": 70, "de": 50}
HALVES = {"develop", "held_out"}
FIRST, LAST = 1922, 1998  # release years of MovieLens-100K


def read(name: str) -> list[dict[str, Any]]:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


def of_catalogues() -> list[dict[str, Any]]:
    return [entry for name in CATALOGUES for entry in read(name)]


def balanced(entries: list[dict[str, Any]]) -> bool:
    return 0.45 <= sum(entry["half"] == "develop" for entry in entries) / len(entries) <= 0.55


def test_counts() -> None:
    entries = of_catalogues()
    languages = Counter(entry["language"] for entry in entries)
    kinds = Counter(entry["kind"] for entry in entries)
    free = Counter(entry["language"] for entry in entries if entry["kind"] == "free")
    assert len(entries) >= 330
    assert languages.keys() == LANGUAGES.keys()
    assert all(languages[language] >= least for language, least in LANGUAGES.items())
    assert kinds.keys() == NEEDED.keys()
    assert kinds["free"] >= 60
    assert free["en"] >= 30
    assert free["zh"] + free["de"] >= 30
    assert kinds["gibberish"] >= 30


@pytest.mark.parametrize("name", CATALOGUES)
def test_keys(name: str) -> None:
    for entry in read(name):
        kind = entry["kind"]
        told = entry.keys() - BASE
        assert entry.keys() >= BASE, entry
        assert told <= NEEDED[kind] | ALLOWED.get(kind, set()), entry
        assert not NEEDED[kind] or told & NEEDED[kind], entry
        assert kind != "both" or "wanted" in told, entry
        assert entry["half"] in HALVES, entry
        assert isinstance(entry["text"], str), entry
        assert entry["text"].strip() == entry["text"] != "", entry
        lists = [entry[key] for key in sorted(told - {"filters"})]
        assert all(isinstance(values, list) and values for values in lists), entry
        assert all(isinstance(value, str) for values in lists for value in values), entry
        assert len({value for values in lists for value in values}) == sum(map(len, lists)), entry


def test_filters_are_ordered() -> None:
    assert not any("filters" in entry for entry in read("anime"))
    for entry in read("movielens"):
        if "filters" in entry:
            assert list(entry["filters"]) == ["release_year"], entry
            low, high = entry["filters"]["release_year"]
            assert (low, high) != (None, None), entry
            years = [FIRST if low is None else low, LAST if high is None else high]
            assert FIRST <= years[0] <= years[1], entry
            assert years[0] <= LAST, entry


def test_texts_are_unique() -> None:
    texts = Counter(entry["text"].casefold() for name in (*CATALOGUES, "human") for entry in read(name))
    assert [text for text, times in texts.items() if times > 1] == []


@pytest.mark.parametrize("name", [*CATALOGUES, "human"])
def test_halves_are_balanced(name: str) -> None:
    assert balanced(read(name))


def test_both_halves_have_every_kind_and_language() -> None:
    halves: dict[str, set[tuple[str, str]]] = {half: set() for half in HALVES}
    for entry in of_catalogues():
        halves[entry["half"]].add((entry["kind"], entry["language"]))
    assert halves["develop"] == halves["held_out"]
    for kind in NEEDED:
        assert balanced([entry for entry in of_catalogues() if entry["kind"] == kind]), kind


def test_human_grades() -> None:
    entries = read("human")
    assert len(entries) == 50
    for entry in entries:
        grades = entry["grades"]
        assert entry.keys() == {"text", "language", "half", "grades"}, entry
        assert entry["language"] in LANGUAGES, entry
        assert entry["half"] in HALVES, entry
        assert 8 <= len(grades) <= 12, entry["text"]
        assert all(isinstance(title, str) for title in grades), entry["text"]
        assert set(grades.values()) <= {0, 1, 2, 3}, entry["text"]
        assert {0, 3} <= set(grades.values()), entry["text"]
