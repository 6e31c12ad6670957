"""Kedro datasets that the catalog needs and no library has."""

from tailor.datasets.local import (
    AccumulatedDataset,
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    EncoderDataset,
    EnginesDataset,
    ParquetDataset,
    SparseMatrixDataset,
    UserTowerDataset,
)
from tailor.datasets.raw import AbsentDataset, PlantedDataset, WheelMemberDataset

__all__ = [
    "AbsentDataset",
    "AccumulatedDataset",
    "AdapterDataset",
    "ArraysDataset",
    "EmbeddingsDataset",
    "EncoderDataset",
    "EnginesDataset",
    "ParquetDataset",
    "PlantedDataset",
    "SparseMatrixDataset",
    "UserTowerDataset",
    "WheelMemberDataset",
]
