"""Kedro datasets that the catalog needs and no library has."""

from tailor.datasets.arrays import (
    AdapterDataset,
    ArraysDataset,
    EmbeddingsDataset,
    EncoderDataset,
    EnginesDataset,
    SparseMatrixDataset,
    UserTowerDataset,
)
from tailor.datasets.parts import Parts, ResumableParquetDataset
from tailor.datasets.raw import AbsentDataset, PlantedDataset, WheelMemberDataset
from tailor.datasets.tables import AccumulatedDataset, ParquetDataset

__all__ = [
    "AbsentDataset",
    "AccumulatedDataset",
    "AdapterDataset",
    "ArraysDataset",
    "EmbeddingsDataset",
    "EncoderDataset",
    "EnginesDataset",
    "ParquetDataset",
    "Parts",
    "PlantedDataset",
    "ResumableParquetDataset",
    "SparseMatrixDataset",
    "UserTowerDataset",
    "WheelMemberDataset",
]
