"""What the nodes of a data folder took when they last ran: one JSON file, which several runs may write at once."""

from typing import TypedDict

from tailor.datasets.entries import EntriesDataset


class NodeCost(TypedDict):
    """What one node took."""

    seconds: float
    peak_gib: float
    """The most memory that the process had while the node ran."""


class NodeCostsDataset(EntriesDataset[NodeCost]):
    """Costs by full name of the node."""

    entry = NodeCost
    remedy = "the next run writes what its nodes take"

    def _exists(self) -> bool:
        return True
