"""Kedro datasets that the catalog needs and no library has."""

from tailor.datasets.local import AdapterDataset, ArraysDataset, EnginesDataset, ParquetDataset, SparseMatrixDataset
from tailor.datasets.raw import AbsentDataset, PlantedDataset, WheelMemberDataset

__all__ = [
    "AbsentDataset",
    "AdapterDataset",
    "ArraysDataset",
    "EnginesDataset",
    "ParquetDataset",
    "PlantedDataset",
    "SparseMatrixDataset",
    "WheelMemberDataset",
]
