"""Build data/01_raw/beauty or data/01_raw/toys: Amazon reviews as cut and ordered by S3-Rec, with titles.

    python benchmarks/build_amazon.py beauty --sequences Beauty.txt --titles meta_Beauty.json.gz --item-ids ids.json

``--sequences`` is the file of github.com/RUCAIBox/CIKM2020-S3Rec, data/Beauty.txt or data/Toys_and_Games.txt: one line
per user, ``user item item …`` in the user's order (5-core of the Amazon reviews of McAuley et al. 2015, "Image-based
recommendations on styles and substitutes"). ``--titles`` is a public metadata file: JSON or Python literals by line
with ``asin`` and ``title`` (McAuley's ``meta_Beauty.json.gz``), or CSV with ``item_id`` and ``title``. The items of the
sequences are numbers; ``--item-ids`` is a JSON object from the ids of the titles to these numbers (``item2id``, as
data_process.py of the same repository makes it), left out where both are the same. Nothing is downloaded.

Written are interactions.csv.gz (user_id, item_id, timestamp: the place in the user's order, split) and items.csv.gz
(item_id, title). The hash of the sequences and the counts are checked; all hashes are printed. Without ``--sequences``
the tables that are there are checked: their counts, and that ``leave_one_out`` labels every row as published.
"""

import argparse
import ast
import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tailor import columns as c
from tailor.data.config import SplitOptions
from tailor.data.split import label_interactions
from tailor.errors import BadInputError

RAW = Path(__file__).resolve().parents[1] / "data" / "01_raw"


@dataclass(frozen=True)
class Catalogue:
    """What a catalogue's file of sequences is known to hold."""

    sha256: str
    """Of the file in the repository of S3-Rec."""
    users: int
    items: int
    interactions: int


CATALOGUES = {
    "beauty": Catalogue(
        "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
        users=22363,
        items=12101,
        interactions=198502,
    ),
    "toys": Catalogue(
        "176c680c688d497598c4a89a03b402c0fe78d795e5db335c2e78dd5f2d778a3f",
        users=19412,
        items=11924,
        interactions=167597,
    ),
}


def read_sequences(path: Path) -> pd.DataFrame:
    """Return user_id, item_id, timestamp (places from 1) and split: the last row is test, the one before validation.

    Users with fewer than 3 rows are train as a whole.
    """
    frames = []
    for line in path.read_text(encoding="utf-8").splitlines():
        user, *items = line.split()
        held_out = [c.VALIDATION, c.TEST] if len(items) > 2 else []
        split = [c.TRAIN] * (len(items) - len(held_out)) + held_out
        frames.append({c.USER: user, c.ITEM: items, c.TIMESTAMP: range(1, len(items) + 1), c.SPLIT: split})
    return pd.concat([pd.DataFrame(frame) for frame in frames], ignore_index=True)


def read_titles(path: Path) -> dict[str, str]:
    """Return the title by item id, of a CSV file with item_id and title, or of a file with an object per line."""
    if ".csv" in path.suffixes:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return dict(zip(table[c.ITEM], table[c.TITLE], strict=True))
    return {str(row["asin"]): str(row.get("title") or "") for row in _objects(path)}


def _objects(path: Path) -> Iterator[dict[str, object]]:
    """Yield an object per line; McAuley's first files hold Python literals."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line) if line.startswith('{"') else ast.literal_eval(line)


def build(
    sequences: Path, titles: Path, folder: Path, known: Catalogue, item_ids: Path | None = None
) -> dict[str, dict[str, str]]:
    """Write both tables to ``folder``; return the SHA-256 of what was read and written, by file.

    Args:
        sequences: see the module.
        titles: see the module.
        folder: where the tables go.
        known: what the sequences must be.
        item_ids: see the module; None: titles and sequences call items by the same ids.

    Raises:
        BadInputError: the sequences are another file, or an item has no id; nothing is written.
    """
    found = sha256(sequences)
    if found != known.sha256:
        raise BadInputError(f"{sequences} is not the file of S3-Rec: its SHA-256 is {found}, not {known.sha256}.")
    rows, title_of = read_sequences(sequences), read_titles(titles)
    if item_ids is not None:
        rows[c.ITEM] = rows[c.ITEM].map(_names(item_ids))
    refuse_other_counts(rows, known, f"{sequences} with {item_ids}" if item_ids else str(sequences))
    ids = list(dict.fromkeys(rows[c.ITEM]))
    items = pd.DataFrame({c.ITEM: ids, c.TITLE: [title_of.get(item, "") for item in ids]})
    if not items[c.TITLE].any():
        raise BadInputError(f"{titles} has a title of none of the {len(items)} items: give their ids by --item-ids.")
    folder.mkdir(parents=True, exist_ok=True)
    written = {"interactions.csv.gz": rows, "items.csv.gz": items}
    for name, table in written.items():
        # No time of writing in the file: the same tables have the same hash.
        table.to_csv(folder / name, index=False, compression={"method": "gzip", "mtime": 0}, lineterminator="\n")
    read = [path for path in (sequences, titles, item_ids) if path is not None]
    return {
        "read": {path.name: sha256(path) for path in read},
        "written": {name: sha256(folder / name) for name in written},
        "titles": {"missing": str(int((items[c.TITLE] == "").sum()))},
    }


def refuse_other_counts(rows: pd.DataFrame, known: Catalogue, where: str) -> None:
    """Refuse interactions of other counts than those known.

    Raises:
        BadInputError: names both.
    """
    counts = (rows[c.USER].nunique(), rows[c.ITEM].nunique(), len(rows))
    if counts != (known.users, known.items, known.interactions) or rows[c.ITEM].isna().any():
        raise BadInputError(
            f"{where} has {counts[0]} users, {counts[1]} items with an id and {counts[2]} rows, expected are "
            f"{known.users}, {known.items} and {known.interactions}: is it of the same catalogue?"
        )


def check(folder: Path, known: Catalogue) -> dict[str, int]:
    """Check the interactions that are there; return how many users there are, all and with a test item that is known.

    Args:
        folder: with interactions.csv.gz.
        known: what they must be.

    Returns:
        users; known: those whose test item has a row in train or validation; warm: those whose test item has a train
        row.

    Raises:
        BadInputError: the counts are others, or ``leave_one_out`` labels a row otherwise.
    """
    path = folder / "interactions.csv.gz"
    rows = pd.read_csv(path, dtype={c.USER: str, c.ITEM: str})
    refuse_other_counts(rows, known, str(path))
    labels = label_interactions(rows.drop(columns=c.SPLIT), SplitOptions(strategy="leave_one_out"), 0)
    different = int((labels != rows[c.SPLIT]).sum())
    if different:
        raise BadInputError(f"{path}: leave_one_out labels {different} rows otherwise than the column 'split'.")
    test = rows.loc[rows[c.SPLIT] == c.TEST, c.ITEM]
    train, before = (rows.loc[of, c.ITEM] for of in (rows[c.SPLIT] == c.TRAIN, rows[c.SPLIT] != c.TEST))
    return {
        "users": len(test),
        c.KNOWN: int(test.isin(before).sum()),
        c.WARM: int(test.isin(train).sum()),
    }


def _names(path: Path) -> dict[str, str]:
    """Return the id by number, of a JSON object from ids to numbers."""
    return {str(number): name for name, number in json.loads(path.read_text(encoding="utf-8")).items()}


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", choices=sorted(CATALOGUES))
    parser.add_argument("--sequences", type=Path)
    parser.add_argument("--titles", type=Path)
    parser.add_argument("--item-ids", type=Path)
    given = parser.parse_args()
    folder, known = RAW / given.catalogue, CATALOGUES[given.catalogue]
    if (given.sequences is None) != (given.titles is None):
        parser.error("--sequences and --titles go together")
    try:
        if given.sequences is not None:
            print(json.dumps(build(given.sequences, given.titles, folder, known, given.item_ids), indent=2))
        print(json.dumps(check(folder, known), indent=2))
    except (BadInputError, FileNotFoundError) as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
