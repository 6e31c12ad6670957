"""Kedro datasets that the catalog needs and no library has."""

from tailor.datasets.arrays import (
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    EncoderDataset,
    ModelsDataset,
    SparseMatrixDataset,
)
from tailor.datasets.fingerprints import FingerprintsDataset
from tailor.datasets.lists import ListsDataset
from tailor.datasets.parts import Parts, ResumableParquetDataset
from tailor.datasets.raw import AbsentDataset, PlantedDataset, TextTableDataset, WheelMemberDataset
from tailor.datasets.state import ItemStateDataset
from tailor.datasets.tables import AccumulatedDataset, ParquetDataset

__all__ = [
    "AbsentDataset",
    "AccumulatedDataset",
    "AdapterDataset",
    "ArraysDataset",
    "EmbeddingsDataset",
    "EncoderDataset",
    "FingerprintsDataset",
    "ItemStateDataset",
    "ListsDataset",
    "ModelsDataset",
    "ParquetDataset",
    "Parts",
    "PlantedDataset",
    "ResumableParquetDataset",
    "SparseMatrixDataset",
    "TextTableDataset",
    "WheelMemberDataset",
]
