"""Kedro datasets that the catalog needs and no library has."""

from tailor.datasets.arrays import (
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    EncoderDataset,
    ModelsDataset,
    SparseMatrixDataset,
)
from tailor.datasets.costs import NodeCostsDataset
from tailor.datasets.events import EventsDataset, PolicyLogDataset
from tailor.datasets.fingerprints import FingerprintsDataset
from tailor.datasets.lists import ListsDataset
from tailor.datasets.parts import Parts, ResumableParquetDataset
from tailor.datasets.raw import AbsentDataset, DomainsDataset, PlantedDataset, TextTableDataset, WheelMemberDataset
from tailor.datasets.state import ItemStateDataset
from tailor.datasets.suppressions import SuppressionsDataset
from tailor.datasets.tables import AccumulatedDataset, ParquetDataset

__all__ = [
    "AbsentDataset",
    "AccumulatedDataset",
    "AdapterDataset",
    "ArraysDataset",
    "DomainsDataset",
    "EmbeddingsDataset",
    "EncoderDataset",
    "EventsDataset",
    "FingerprintsDataset",
    "ItemStateDataset",
    "ListsDataset",
    "ModelsDataset",
    "NodeCostsDataset",
    "ParquetDataset",
    "Parts",
    "PlantedDataset",
    "PolicyLogDataset",
    "ResumableParquetDataset",
    "SparseMatrixDataset",
    "SuppressionsDataset",
    "TextTableDataset",
    "WheelMemberDataset",
]
