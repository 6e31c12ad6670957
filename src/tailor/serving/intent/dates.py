"""Years, decades, durations and counts in a text, as bounds of the catalogue's numeric columns."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tailor.data.vocabulary import fold

Bounds = tuple[float, float]
_OPEN: Bounds = (-math.inf, math.inf)
_DECADES = {
    "twenties": 1920, "thirties": 1930, "forties": 1940, "fifties": 1950, "sixties": 1960, "seventies": 1970,
    "eighties": 1980, "nineties": 1990, "noughties": 2000, "zwanziger": 1920, "dreissiger": 1930, "vierziger": 1940,
    "funfziger": 1950, "sechziger": 1960, "siebziger": 1970, "achtziger": 1980, "neunziger": 1990,
    "二十": 1920, "三十": 1930, "四十": 1940, "五十": 1950, "六十": 1960, "七十": 1970, "八十": 1980, "九十": 1990,
}  # fmt: skip
_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "twelve": 12, "half": 0.5,
    "ein": 1, "eine": 1, "einer": 1, "einem": 1, "zwei": 2, "drei": 3, "vier": 4, "funf": 5, "sechs": 6, "zehn": 10,
    "一": 1, "两": 2, "二": 2, "三": 3, "四": 4, "五": 5, "十": 10, "an": 1, "a": 1,
}  # fmt: skip
_YEAR = (
    r"(?P<{0}>(?:18|19|20)\d\d(?!\d)(?!0?'?s)|(?:(?:the |den |die |der |in |dem |of |late |"
    r"early |mid )*)'?(?:19|20)?\d0(?:'?s\b|ern?\b(?:[ -]jahren?)?)"
    r"|(?:(?:the |den |die |der )*)(?:(?:nineteen|neunzehnhundert)[ -]?)?(?:"
    + "|".join(w for w in _DECADES if w.isascii())
    + (
        r")n?(?:[ -]?jahren?)?|(?:二十世纪|20世纪|上世纪)?(?:[二三四五六七八九]十|(?:19|"
        r"20)?\d0)年代|(?:18|19|20)\d\d年?)"
    )
)
_NOT = (
    r"(?P<negated>(?:nothing|not|no|never|none|nichts|nicht|kein\w*|不要|别|不看|"
    r"不)\s*(?:(?:anything|from|made|released|films?|movies?|films|filme|that is|"
    r"that are)\s+)*)?"
)
_BEFORE = r"(?:before|prior to|older than|earlier than|pre|predating|vor|alter als|fruher als|早于|earlier)"
_UNTIL = (
    r"(?:until|till|up to|up until|through|no later than|not later than|at the latest|bis|"
    r"bis zu|bis einschliesslich|spatestens|至|到|截至)"
)
_AFTER = (
    r"(?:after|newer than|later than|more recent than|younger than|post|past|nach|neuer als|"
    r"junger als|spater als|晚于)"
)
_SINCE = (
    r"(?:since|from|starting (?:in|with|from)|as of|beginning (?:in|with)|no earlier than|"
    r"no older than|not older than|ab|seit|von|fruhestens|自从|自|从)"
)
_LATER = (
    r"(?:\s*(?:or (?:later|newer|after|above|more recent)|and (?:later|newer|after|onwards?|"
    r"up|beyond)|onwards?|on|oder (?:spater|neuer|junger)|und (?:spater|neuer)|aufwarts)\b|"
    r"\s*(?:年)?(?:以后|之后|以来|往后|起|后|及以后))"
)
_EARLIER = (
    r"(?:\s*(?:or (?:earlier|older|before)|and (?:earlier|older|before)|oder (?:fruher|alter)|"
    r"und (?:fruher|alter))\b|\s*(?:年)?(?:以前|之前|前|及以前))"
)
_AND = r"\s*(?:to|and|until|till|through|-|–|—|bis|und|到|至|~)\s*"
_RANGE = re.compile(
    r"\b(?:from |between |zwischen |von |vom )?(?:the )?" + _YEAR.format("first") + _AND + _YEAR.format("last")
)
_WITH_WORD = re.compile(
    _NOT + rf"(?:(?:(?<!\w)(?P<before>{_BEFORE})|(?<!\w)(?P<until>{_UNTIL})|"
    rf"(?<!\w)(?P<after>{_AFTER})|(?<!\w)(?P<since>{_SINCE}))"
    r"[\s-]*(?:the year |dem jahr |the |den |dem |jahr )?)?"
    r"(?P<part>(?:early|mid|late|fruhe\w*|mitte|spate\w*|anfang|ende)[\s-]+(?:the |der |den )*)?"
    + _YEAR.format("year")
    + rf"(?:(?P<later>{_LATER})|(?P<earlier>{_EARLIER}))?"
)
_FILLERS = re.compile(
    r"(?:\b(?:(?:that |which )?(?:was |were )?(?:made|released|produced|filmed|shot|published|"
    r"out)|coming out|dating|erschienen\w*|gedreht\w*|produziert\w*|aus dem jahr\w*|aus den|"
    r"aus|im jahr\w*|in the|from the|of the|from|in|of|year|dated|des jahres|der|den|"
    r"die)\s*)+$"
)
_COMPARE = [
    ((
        r"(?:under|below|less than|fewer than|shorter than|no more than|not more than|at most|"
        r"up to|max(?:imum)?|within|not longer than|no longer than|unter|weniger als|hochstens|"
        r"maximal|kurzer als|bis zu|nicht langer als|不超过|少于|短于|低于)"
    ), "high"),
    ((
        r"(?:over|above|more than|longer than|at least|no less than|not less than|min(?:imum)?|"
        r"uber|mehr als|langer als|mindestens|超过|多于|长于|至少)"
    ), "low"),
]  # fmt: skip
_NUMBER = r"(?P<number>\d+(?:\.\d+)?|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + ")"
_HOURS = (
    r"(?:(?P<half> and a half|einhalb|个半)?[\s-]*(?P<unit>hours?|hrs?|h|stunden?|个?小时|"
    r"minutes?|mins?|minuten?|分钟))"
)
_DURATION = re.compile(r"run_?time|duration|minutes|length|laufzeit|时长", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Bounds that a text names."""

    column: str
    bounds: Bounds
    start: int
    end: int


@dataclass(frozen=True)
class NumericColumns:
    """Which numeric column holds years, which durations in minutes, and the others by the words of their names."""

    year: str | None
    duration: str | None
    others: Mapping[str, str]

    @classmethod
    def of(cls, table: pd.DataFrame, names: list[str]) -> "NumericColumns":
        """Tell years by their values (whole numbers, mostly from 1850 to 2100), durations by the column's name."""
        years = [name for name in names if _are_years(table[name].to_numpy(dtype=float))]
        year = next((name for name in years if "year" in name.lower()), years[0] if years else None)
        duration = next((name for name in names if _DURATION.search(name)), None)
        rest = [name for name in names if name not in (year, duration)]
        return cls(year, duration, {word: name for name in rest for word in fold(name).split("_") if len(word) > 3})


def _are_years(values: np.ndarray) -> bool:
    values = values[np.isfinite(values)]
    return bool(len(values)) and bool(((values >= 1850) & (values <= 2100) & (values % 1 == 0)).mean() >= 0.95)


def find_bounds(text: str, columns: NumericColumns) -> list[Found]:
    """Find bounds in a folded text; of one column, the later narrows the earlier."""
    bounds_of_text = []
    if columns.duration is not None:
        bounds_of_text += _amounts(text, columns.duration, _HOURS)
    for word, name in columns.others.items():
        bounds_of_text += _amounts(text, name, rf"(?:[\s-]*{re.escape(word.rstrip('s'))}s?)\b")
    taken = [(one.start, one.end) for one in bounds_of_text]
    if columns.year is not None:
        blank = text
        for start, end in taken:
            blank = blank[:start] + " " * (end - start) + blank[end:]
        bounds_of_text += _years(blank, columns.year)
    return bounds_of_text


def _amounts(text: str, column: str, unit: str) -> list[Found]:
    bounds_of_text = []
    for words, side in _COMPARE:
        for match in re.finditer(rf"{words}\s*(?:of )?{_NUMBER}{unit}", text):
            groups = match.groupdict()
            number = _NUMBERS[groups["number"]] if groups["number"] in _NUMBERS else float(groups["number"])
            if groups.get("half"):
                number += 0.5
            if re.match(r"h|stunde|个?小时", groups.get("unit") or ""):
                number *= 60
            bounds = (-math.inf, number) if side == "high" else (number, math.inf)
            bounds_of_text.append(Found(column, bounds, match.start(), match.end()))
    return bounds_of_text


def _years(text: str, column: str) -> list[Found]:
    bounds_of_text: list[Found] = []
    for match in _RANGE.finditer(text):
        (low, _), (_, high) = _first_and_last(match["first"]), _first_and_last(match["last"])
        if low <= high:
            bounds_of_text.append(Found(column, (low, high), *_whole(text, match)))
    for one in bounds_of_text:
        text = text[: one.start] + " " * (one.end - one.start) + text[one.end :]
    for match in _WITH_WORD.finditer(text):
        bounds = _bounds(match)
        if bounds is not None:
            bounds_of_text.append(Found(column, bounds, *_whole(text, match)))
    return bounds_of_text


def _whole(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the span of a match with the words before it that belong to it: made in, aus dem Jahr."""
    lead = _FILLERS.search(text[: match.start()])
    end = match.end()
    tail = re.match(r"\s*(?:erschienen\w*|gedreht\w*|released|made|年|的)", text[end:])
    return (lead.start() if lead else match.start()), end + (tail.end() if tail else 0)


def _first_and_last(text: str) -> Bounds:
    """Return first and last year of a year or a decade."""
    text = re.sub("(?:二十|20)世纪", "", text)
    number = re.search(r"\d+", text)
    decade = re.search(r"年代|\d0'?s|\d0ern?|" + "|".join(word for word in _DECADES if word.isascii()), text)
    if not decade:
        year = float(number.group()) if number else math.nan
        return year, year
    if number:
        first = int(number.group())
        first = first if first > 100 else 1900 + first if first >= 20 else 2000 + first
    else:
        first = next(value for word, value in _DECADES.items() if word in text)
    return float(first), float(first + 9)


def _bounds(match: re.Match[str]) -> Bounds | None:
    low, high = _part(match["part"] or match["year"], *_first_and_last(match["year"]))
    negated = bool(match["negated"])
    sides = {name: match[name] for name in ("before", "until", "after", "since", "later", "earlier")}
    if sides["before"] or (sides["earlier"] and not re.match(r"\s*(?:or|and|oder|und)\b", sides["earlier"])):
        return (low, math.inf) if negated else (-math.inf, low - 1)
    if sides["until"] or sides["earlier"]:
        return (high + 1, math.inf) if negated else (-math.inf, high)
    if sides["after"] or (sides["later"] and re.fullmatch(r"\s*年?(?:之后|后)", sides["later"])):
        return (-math.inf, high) if negated else (high + 1, math.inf)
    if sides["later"] or (sides["since"] and not re.match(r"(?:from|von|从)$", sides["since"])):
        return (-math.inf, low - 1) if negated else (low, math.inf)
    return None if negated else (low, high)


def _part(text: str, low: float, high: float) -> Bounds:
    """Return the beginning, middle or end of a decade where one is named."""
    if high - low != 9:
        return low, high
    if re.search(r"early|fruhe|anfang", text):
        return low, low + 3
    if re.search(r"mid|mitte", text):
        return low + 4, low + 6
    if re.search(r"late|spate|ende", text):
        return low + 7, high
    return low, high


def as_filters(bounds_of_text: list[Found]) -> dict[str, dict[str, float]]:
    """Return bounds as the filters of a request; those of one column are cut with each other."""
    joined: dict[str, Bounds] = {}
    for one in bounds_of_text:
        low, high = joined.get(one.column, _OPEN)
        joined[one.column] = (max(low, one.bounds[0]), min(high, one.bounds[1]))
    return {
        column: {name: value for name, value in (("min", low), ("max", high)) if math.isfinite(value)}
        for column, (low, high) in joined.items()
    }
