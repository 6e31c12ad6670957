"""A catalogue of two users and four items, and the tables that cleaning leaves."""

import pandas as pd


def interactions() -> pd.DataFrame:
    rows = [("user-1", "a"), ("user-1", "b"), ("user-1", "c"), ("user-2", "a"), ("user-2", "b")]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return frame.assign(split=["train", "train", "test", "train", "cold"])


def items() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": list("abcd"),
            "title": ["Alien Nine", "Bob", "", "nan"],
            "genre": ["space", None, "", "drama"],
            "n_train": [2, 1, 0, 0],
            "bucket": ["head", "cold", "head", "unseen"],
            "pseudo_cold": "none",
        }
    )


SUMMARY = pd.DataFrame(
    [
        ("interactions by split", "train", 3),
        ("interactions by split", "test", 1),
        ("interactions by split", "cold", 1),
        ("items by bucket", "head", 3),
        ("items by bucket", "cold", 1),
        ("users by bucket", "q1", 2),
    ],
    columns=["what", "label", "count"],
)
QUALITY = pd.DataFrame(
    [
        ("interactions", "repeated (user_id, item_id) (the latest is kept)", "dropped", 2, "3, 4", "user-1, a"),
        ("items", "missing title", "noticed", 1, "9", "<script>alert(1)</script>"),
    ],
    columns=["table", "problem", "action", "rows", "lines", "examples"],
)
ACCOUNTS = pd.DataFrame(
    [("interactions", 8, 1, 2, 0, 5), ("items", 4, 0, 0, 1, 4)],
    columns=["table", "rows_in", "skipped", "dropped", "repaired", "kept"],
)
