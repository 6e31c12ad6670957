"""Fingerprints of outputs; what they share with other files of entries: test_entries.py."""

from tailor.datasets.fingerprints import FingerprintsDataset, latest


def entry(at="1", identity="a"):
    return {"inputs": {"code": "c"}, "identity": identity, "run": "r", "made_at": at}


def test_of_two_entries_the_later_is_kept(root):
    file = FingerprintsDataset(filepath=f"{root}/data/fingerprints.json")
    file.update({"items": entry("2", "late")})
    file.update({"items": entry("1", "early")})
    assert file.known()["items"]["identity"] == "late"
    assert latest({"x": entry("1")}, {"x": entry("3", "new"), "y": entry()})["x"]["identity"] == "new"
