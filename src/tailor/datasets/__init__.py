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
)
from tailor.datasets.parts import Parts, ResumableParquetDataset
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
    "Parts",
    "PlantedDataset",
    "ResumableParquetDataset",
    "SparseMatrixDataset",
    "WheelMemberDataset",
]
