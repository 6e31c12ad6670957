"""What the nodes of a data folder took when they last ran: one JSON file, which several runs may write at once."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from tailor.datasets.base import FileDataset
from tailor.datasets.fingerprints import locked
from tailor.errors import BadInputError


class NodeCost(TypedDict):
    """What one node took."""

    seconds: float
    peak_gib: float
    """The most memory that the process had while the node ran."""


NodeCosts = dict[str, NodeCost]


class NodeCostsDataset(FileDataset[NodeCosts]):
    """Costs by full name of the node; an absent file has none."""

    def load(self) -> NodeCosts:
        """Read the file."""
        return self.known()

    def known(self) -> NodeCosts:
        """Read the file; what it raises is no error of Kedro's.

        Raises:
            BadInputError: it is damaged.
        """
        if not self.location.exists():
            return {}
        with self.location.open_for_reading() as path:
            return self._read(path)

    def update(self, changes: Mapping[str, NodeCost]) -> None:
        """Replace some entries; the file as a whole is replaced at once, and a local one locked meanwhile."""
        with locked(self.location):
            self.save(self.known() | dict(changes))

    def _read(self, path: Path) -> NodeCosts:
        try:
            costs: NodeCosts = json.loads(path.read_text())
            complete = all(set(cost) == set(NodeCost.__annotations__) for cost in costs.values())
        except (ValueError, AttributeError, TypeError):
            complete = False
        if not complete:
            raise BadInputError(f"{self.filepath} is damaged: delete it; the next run writes what its nodes take.")
        return costs

    def _write(self, path: Path, data: NodeCosts) -> None:
        path.write_text(json.dumps(data, indent=1, sort_keys=True))

    def _exists(self) -> bool:
        return True
