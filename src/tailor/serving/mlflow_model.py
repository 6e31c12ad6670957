"""The MLflow face of :class:`tailor.serving.recommender.Recommender`: logged as code, loaded by any pyfunc client.

MLflow drops columns and params that the signature does not name before a model sees them, with no more than a warning.
A misspelt ``histroy`` would silently get the popular list, so the model looks at what the caller really passed and
refuses what it does not know (docs/adr/0005).
"""

import inspect
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PyFuncModel, PythonModel, PythonModelContext
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, ParamSchema, ParamSpec, Schema

from tailor.errors import BadInputError, did_you_mean
from tailor.serving.recommender import Recommender
from tailor.serving.schema import Answer, Request, Settings

COLUMNS = ("user_id", "history", "candidates", "exclude", "weights", "query", "profile", "context", "filters")
PARAMS: dict[str, Any] = asdict(Settings())
_PARAM_TYPES = {
    "k": DataType.long,
    "exclude_seen": DataType.boolean,
    "explain": DataType.boolean,
    "scenario": DataType.string,
}
ARTIFACT = "recommender"


def signature() -> ModelSignature:
    """Return the signature: both inputs optional and of any id type, one output row per input row."""
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in COLUMNS]),
        outputs=Schema(
            [
                ColSpec(Array(DataType.string), "item_ids"),
                ColSpec(Array(DataType.double), "scores"),
                ColSpec(DataType.string, "path"),
                ColSpec(DataType.long, "unknown_history"),
                ColSpec(DataType.long, "unknown_candidates"),
                ColSpec(Array(DataType.string), "reasons"),
                ColSpec(Array(DataType.string), "explanations"),
            ]
        ),
        params=ParamSchema(
            [ParamSpec(name, _PARAM_TYPES.get(name, DataType.double), default) for name, default in PARAMS.items()]
        ),
    )


def read_requests(frame: pd.DataFrame) -> list[Request]:
    """Turn rows into requests: ids of any type become strings; None, NaN and blanks mean 'not given'.

    Raises:
        BadInputError: a column is unknown, none is known, or a history is not a list of ids.
    """
    _refuse_unknown(frame.columns, COLUMNS, "column")
    if not len(frame.columns):
        raise BadInputError(f"The input has no column; give at least one of {', '.join(COLUMNS)}")
    given = {name: frame.get(name, pd.Series([None] * len(frame), dtype=object)).tolist() for name in COLUMNS}
    return [
        Request(
            user_id=_id(given["user_id"][row], "user_id", row),
            history=_ids(given["history"][row], "history", row),
            candidates=_ids(given["candidates"][row], "candidates", row),
            exclude=_ids(given["exclude"][row], "exclude", row),
            weights=_numbers(given["weights"][row], row),
            query=_words(given["query"][row], row),
            profile=_mapping(given["profile"][row], "profile", row),
            context=_mapping(given["context"][row], "context", row),
            filters=_mapping(given["filters"][row], "filters", row),
        )
        for row in range(len(frame))
    ]


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def _id(value: Any, name: str, row: int) -> str | None:
    if _missing(value):
        return None
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    if not isinstance(value, (str, int, np.integer)) or isinstance(value, bool):
        raise BadInputError(f"{name} in row {row}: {value!r} is not an id (a string or an integer)")
    return str(value).strip() or None


def _ids(value: Any, name: str, row: int) -> tuple[str, ...]:
    if _missing(value):
        return ()
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise BadInputError(f"{name} in row {row}: {value!r} is not a list of item ids; write it as [...]")
    ids = (_id(item, name, row) for item in value)
    return tuple(item for item in ids if item is not None)


def _numbers(value: Any, row: int) -> tuple[float, ...]:
    if _missing(value):
        return ()
    try:
        return tuple(float(number) for number in value)
    except (TypeError, ValueError):
        raise BadInputError(f"weights in row {row}: {value!r} is not a list of numbers") from None


def _words(value: Any, row: int) -> str:
    if _missing(value):
        return ""
    if not isinstance(value, str):
        raise BadInputError(f"query in row {row}: {value!r} is not text")
    return value


def _mapping(value: Any, name: str, row: int) -> dict[str, Any]:
    if _missing(value):
        return {}
    if not isinstance(value, dict):
        raise BadInputError(f"{name} in row {row}: {value!r} is not a mapping from names to values")
    return value


def _refuse_unknown(given: Iterable[Any], known: Iterable[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise BadInputError(f"Unknown {what} '{name}'.{did_you_mean(str(name), known)} Known: {', '.join(known)}.")


def _as_passed(data: Any, params: dict[str, Any] | None) -> tuple[Any, dict[str, Any]]:
    """Return what the caller handed to ``PyFuncModel.predict``, before MLflow dropped the names it does not know."""
    frame = inspect.currentframe()
    while frame is not None:
        caller = frame.f_locals
        if frame.f_code.co_name == "predict" and isinstance(caller.get("self"), PyFuncModel) and "data" in caller:
            return caller["data"], caller.get("params") or {}
        frame = frame.f_back
    return data, params or {}


class TailorModel(PythonModel):
    """Tailor behind ``mlflow.pyfunc.load_model(...).predict(frame, params)`` and ``mlflow models serve``."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the packaged recommender."""
        self.recommender = Recommender.load(Path(context.artifacts[ARTIFACT]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  (MLflow's signature)
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Answer one list per row.

        Args:
            context: unused.
            model_input: any of the columns of :class:`tailor.serving.schema.Request`.
            params: see :class:`tailor.serving.schema.Settings`.

        Returns:
            The fields of :class:`tailor.serving.schema.Answer`, one row per input row; each explanation as JSON.

        Raises:
            BadInputError: a column or param is unknown or out of bounds.
        """
        passed, passed_params = _as_passed(model_input, params)
        _refuse_unknown(passed_params, PARAMS, "param")
        if isinstance(passed, (pd.DataFrame, dict)):
            _refuse_unknown(passed, COLUMNS, "column")
        settings = Settings(**(PARAMS | (params or {})))
        answers = self.recommender.recommend(read_requests(model_input), settings)
        table = pd.DataFrame([asdict(answer) for answer in answers], columns=[f.name for f in fields(Answer)])
        table["explanations"] = table["explanations"].map(lambda told: [json.dumps(entry) for entry in told])
        return table


def code_paths() -> list[str]:
    """Return the package folder that travels with the model (never as the requirement 'tailor')."""
    return [str(Path(__file__).resolve().parents[1])]


set_model(TailorModel())
__all__ = ["ARTIFACT", "COLUMNS", "PARAMS", "TailorModel", "code_paths", "mlflow", "read_requests", "signature"]
