"""What looks wrong in the content is told, and repaired or left out on request alone."""

import numpy as np
import pandas as pd
import pytest

from tailor.data.inspection import (
    MIN_ROWS,
    duplicated_items,
    inspect_items,
    inspect_users,
    merge_items,
    repair_text,
    suspicious_users,
)
from tailor.data.quality import QualityReport


def items(**columns):
    frame = pd.DataFrame({"item_id": [f"i{place}" for place in range(len(next(iter(columns.values()))))], **columns})
    return frame.set_axis(pd.RangeIndex(1, len(frame) + 1, name="row"), axis=0)


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("<b>Tea</b>&nbsp;&amp; cake", "Tea & cake"),
        ("CafÃ© LumiÃ¨re", "Café Lumière"),
        ("Ð\x9cÐ°Ñ\x81Ñ\x82ÐµÑ\x80", "Мастер"),
        ("Café", "Café"),
        ("a < b > c", "a < b > c"),
        ("千と千尋の神隠し 🎬", "千と千尋の神隠し 🎬"),
    ],
)
def test_repair_text(text, repaired):
    assert repair_text(text) == repaired


class TestItems:
    TITLES = ("<i>Tea</i>", "CafÃ©", "unkonwn", "Good", "Unknown", None)

    def test_faults_are_told(self):
        report, table = QualityReport(), items(title=list(self.TITLES), year=["1999", "19999", "0", "", "2001", "x"])
        kept = inspect_items(table, repair=False, report=report)
        pd.testing.assert_frame_equal(kept, table)
        told = report.to_frame().set_index("problem")
        assert set(told["action"]) == {"noticed"}
        assert told["lines"].to_dict() == {
            "title with HTML tags": "1",
            "title with a wrong encoding": "2",
            "title that stands for no item": "3, 5",
            "impossible year": "2, 3",
        }
        assert told.loc["title with a wrong encoding", "examples"] == "CafÃ©"

    def test_texts_are_repaired_on_request(self):
        report = QualityReport()
        kept = inspect_items(items(title=list(self.TITLES)), repair=True, report=report)
        assert kept["title"].tolist()[:4] == ["Tea", "Café", "unkonwn", "Good"]
        assert report.to_frame().set_index("problem")["action"].to_dict() == {
            "title with HTML tags": "repaired",
            "title with a wrong encoding": "repaired",
            "title that stands for no item": "noticed",
        }

    def test_items_that_are_there_twice(self):
        table = items(title=["Crash (1996)", "crash (1996) ", "Crash (2004)", "Solo", "Solo", "unknown (1990)"])
        assert duplicated_items(table).to_dict() == {"i1": "i0", "i4": "i3"}
        by_year = items(title=["Crash", "Crash", "Crash"], release_year=["1996", "2004", "1996"])
        assert duplicated_items(by_year).to_dict() == {"i2": "i0"}
        assert duplicated_items(items(title=["Shirt", "Shirt"])).empty  # no year: two shirts may be two
        assert duplicated_items(items(name=["a", "a"])).empty

    def test_they_are_merged_on_request(self):
        table = items(title=["Crash (1996)", "Crash (1996)", "Solo (2018)"])
        report = QualityReport()
        kept, other_id = merge_items(table, merge=False, report=report)
        assert len(kept) == 3
        assert other_id == {}
        assert report.to_frame()["action"].tolist() == ["noticed"]
        kept, other_id = merge_items(table, merge=True, report=report)
        assert kept["item_id"].tolist() == ["i0", "i2"]
        assert other_id == {"i1": "i0"}
        assert report.to_frame()["action"].tolist() == ["noticed", "dropped"]


def history(user, wanted, start, gap):
    return pd.DataFrame(
        {"user_id": user, "item_id": [f"i{i}" for i in wanted], "timestamp": start + gap * np.arange(len(wanted))}
    )


class TestUsers:
    N = MIN_ROWS

    @pytest.fixture
    def rows(self):
        rng = np.random.default_rng(0)
        people = [history(f"u{u}", rng.choice(400, self.N, replace=False), 1e9 + 1e5 * u, 30) for u in range(50)]
        fast = history("fast", rng.choice(400, self.N, replace=False), 1e9, 0.1)
        twins = [history(f"twin{t}", range(self.N), 1e9 + 1e6 * t, 60) for t in range(3)]
        pair = [history(f"pair{t}", range(10, 10 + self.N), 1e9 + 1e6 * t, 60) for t in range(2)]
        everything = history("all", range(300), 1e9, 60)
        short = history("short", range(self.N - 1), 1e9, 0)
        return pd.concat([*people, fast, *twins, *pair, everything, short], ignore_index=True)

    def test_machines_are_found_with_the_reason(self, rows):
        assert suspicious_users(rows).to_dict() == {
            "fast": "more than two interactions a second",
            "twin0": "exactly the items of 2 others or more",
            "twin1": "exactly the items of 2 others or more",
            "twin2": "exactly the items of 2 others or more",
            "all": "more than half of all items",
        }

    def test_without_times_or_with_places_nobody_is_fast(self, rows):
        for told in (rows.drop(columns="timestamp"), rows.assign(timestamp=rows.groupby("user_id").cumcount() + 1.0)):
            assert "fast" not in suspicious_users(told)
            assert "all" in suspicious_users(told)
        assert suspicious_users(rows.head(3)).empty

    def test_they_are_told_or_left_out(self, rows):
        report = QualityReport()
        assert inspect_users(rows, drop=False, report=report) is rows
        left = inspect_users(rows, drop=True, report=report)
        assert len(rows) - len(left) == self.N * 4 + 300
        assert report.to_frame()["action"].tolist() == ["noticed"] * 3 + ["dropped"] * 3
        assert report.to_frame()["rows"].tolist() == [self.N, 3 * self.N, 300] * 2
        assert "fast" not in report.to_frame()["examples"].str.cat()
