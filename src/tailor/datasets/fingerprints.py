"""What made each output of a data folder: one JSON file, which several runs may write at once."""

from collections.abc import Mapping
from typing import TypedDict

from tailor.datasets.entries import EntriesDataset


class Fingerprint(TypedDict):
    """What made one output."""

    inputs: dict[str, str] | None
    """Hash of each input of its node and of the node's code, by name; None while the output is being written."""
    identity: str
    """What nodes that read the output depend on."""
    run: str
    """Id of the run that made it."""
    made_at: str
    """When, in UTC (ISO 8601): of two entries the later one is right."""


Fingerprints = dict[str, Fingerprint]


class FingerprintsDataset(EntriesDataset[Fingerprint]):
    """Fingerprints of outputs by name.

    A change replaces an entry unless the file has a later one. Where files are not local, and so not locked, a run
    gives every entry that it has made so far, and one that was lost comes back with the next.
    """

    entry = Fingerprint
    remedy = "the next resume then runs every node again"

    @staticmethod
    def merged(known: Mapping[str, Fingerprint], changes: Mapping[str, Fingerprint]) -> Fingerprints:
        """Return the later entry of each output."""
        return latest(known, changes)


def latest(known: Mapping[str, Fingerprint], others: Mapping[str, Fingerprint]) -> Fingerprints:
    """Return the later entry of each output."""
    later = {name: new for name, new in others.items() if name not in known or known[name]["made_at"] <= new["made_at"]}
    return dict(known) | later
