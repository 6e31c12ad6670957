"""The MLflow face of :class:`tailor.serving.recommender.Recommender`: logged as code, loaded by any pyfunc client.

MLflow drops columns and params that a signature does not name, and only says so in its log. Nothing that was misspelt
may be dropped here (docs/adr/0017), so

* the signature has no inputs: MLflow hands a table over as it came, and an unknown column is refused by its name. What
  columns there are stands in the model's metadata (:func:`metadata`);
* the signature names the params, since without it all would be dropped; what MLflow then says that it leaves out is
  refused by :class:`UnknownParams`.
"""

import ast
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import INVALID_PARAMETER_VALUE, MlflowException
from mlflow.models import ModelSignature, set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types.schema import Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema
from pydantic import BaseModel

from tailor.errors import BadInputError, TailorError, did_you_mean
from tailor.serving.items import Following
from tailor.serving.package import ARTIFACT
from tailor.serving.recommender import Recommender
from tailor.serving.schema import RENAMED, Answer, Request, Settings
from tailor.serving.validation import is_missing, property_of
from tailor.types import JsonObject, Parameters

COLUMNS = tuple(Request.model_fields)
PARAMS = tuple(Settings.model_fields)
_TYPES = {
    "integer": DataType.long,
    "number": DataType.double,
    "boolean": DataType.boolean,
    "string": DataType.string,
    "object": DataType.string,  # as JSON
}


#: MLflow's scoring server sets it, and nothing else does.
_OF_SERVER = "__pyfunc_model_path__"


class RefusedError(MlflowException, BadInputError):
    """A request that is refused; MLflow's server answers 400 with the one sentence.

    The server writes the whole input before the reason of an error, and of an error of another kind tells the stack
    trace alone: the message of this one stays as it was.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self.args[0]) if self.args else ""

    @message.setter
    def message(self, text: str) -> None:
        """Leave the sentence as it is."""


def signature(settings: type[BaseModel] = Settings, answer: type[BaseModel] = Answer) -> ModelSignature:
    """Return the params and the columns of an answer; a param that is None, or an empty mapping, is not set."""
    return ModelSignature(
        outputs=Schema([ColSpec(_type(property_of(answer, (name,))), name) for name in answer.model_fields]),
        params=ParamSchema([_param(name, property_of(settings, (name,))) for name in settings.model_fields]),
    )


def _param(name: str, schema: JsonObject) -> ParamSpec:
    if "properties" not in schema:
        return ParamSpec(name, _TYPES[schema["type"]], None)
    inner = schema["properties"].items()
    return ParamSpec(name, Object([Property(key, _type(part), required=False) for key, part in inner]), {})


def _type(schema: JsonObject) -> DataType | Array:
    return Array(_TYPES[schema["items"]["type"]]) if "items" in schema else _TYPES[schema["type"]]


def metadata(request: type[BaseModel] = Request) -> JsonObject:
    """Return what is logged beside the model: the JSON schema of a row of its input."""
    return {"input_columns": {name: _described(request, name) for name in request.model_fields}}


def _described(request: type[BaseModel], name: str) -> JsonObject:
    """Return the JSON schema of a column, with that of its entries in it."""
    schema = property_of(request, (name,))
    return schema | {"items": property_of(request, (name, 0))} if "items" in schema else schema


def read_requests(table: pd.DataFrame, request: type[Request] = Request) -> list[Request]:
    """Turn rows into requests: ids of any type become strings; None, NaN and blanks mean 'not given'.

    Raises:
        BadInputError: a column is unknown, none is known, or a cell is not what its column holds.
    """
    _refuse_unknown(table.columns, request.model_fields, "column")
    if not len(table.columns):
        raise BadInputError(f"The input has no column; give at least one of {', '.join(request.model_fields)}")
    requests, names = [], list(table.columns)
    for row, cells in enumerate(zip(*(table[name].tolist() for name in names), strict=True)):
        given = {name: cell for name, cell in zip(names, cells, strict=True) if not is_missing(cell)}
        try:
            requests.append(request(**given))
        except BadInputError as problem:
            raise BadInputError(f"Row {row}: {problem}") from None
    return requests


def read_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a client sent as a table: a table, a list of rows, one row, or a mapping from columns to lists."""
    if not isinstance(rows, Mapping):
        return rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    plain = {name: cells.tolist() if isinstance(cells, np.ndarray) else cells for name, cells in rows.items()}
    return pd.DataFrame([plain] if all(_is_cell(name, value) for name, value in plain.items()) else plain)


def _is_cell(column: str, value: object) -> bool:
    """Whether a value is one cell: no list, or a flat list where the column holds lists."""
    if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return True
    return "items" in property_of(Request, (column,)) and all(np.isscalar(entry) for entry in value)


def read_settings(params: Mapping[str, object] | None) -> Settings:
    """Turn params into settings; None and an empty mapping mean 'not set'.

    Raises:
        BadInputError: a param is unknown or out of bounds.
    """
    given = {name: value for name, value in (params or {}).items() if value is not None and value != {}}
    _refuse_unknown(given, PARAMS, "param")
    return Settings(**given)


def _refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in given:
        if name in RENAMED:
            raise BadInputError(RENAMED[name].format(value="..."))
        if name not in known:
            raise BadInputError(f"Unknown {what} '{name}'.{did_you_mean(str(name), known)} Known: {', '.join(known)}.")


class UnknownParams(logging.Filter):
    """Refuse the params that MLflow says it ignores, where its warning is about a model with our params.

    A filter of a logger runs where the warning is written, within the caller's ``predict``: what it raises reaches the
    caller. Warnings about other models pass.
    """

    _warning = re.compile(r"Unrecognized params (\[.*?\]) are ignored for inference\. Supported params are: (\{.*?\})")
    _logger = "mlflow.models.utils"

    @classmethod
    def watch(cls) -> None:
        """Listen to MLflow's warnings about params; once per process, however many models are loaded."""
        logger, name = logging.getLogger(cls._logger), f"tailor:{','.join(PARAMS)}"
        for earlier in [known for known in logger.filters if getattr(known, "name", "") == name]:
            logger.removeFilter(earlier)
        logger.addFilter(cls(name))
        if not logger.isEnabledFor(logging.WARNING):
            logger.setLevel(logging.WARNING)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass, or refuse what it says is ignored.

        Raises:
            RefusedError: naming the param.
        """
        warning = self._warning.match(record.getMessage())
        if warning and ast.literal_eval(warning[2]) == set(PARAMS):
            try:
                _refuse_unknown(ast.literal_eval(warning[1]), PARAMS, "param")
            except BadInputError as problem:
                raise RefusedError(str(problem)) from None
        return True


class TailorModel(PythonModel):
    """Tailor behind ``mlflow.pyfunc.load_model(...).predict(table, params)`` and ``mlflow models serve``."""

    state: Following | None = None
    """What was put and removed, where the environment names a database of it."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the packaged recommender; a server reads its first words now, not when the first client waits."""
        self.recommender = Recommender.load(Path(context.artifacts[ARTIFACT]))
        self.state = Following.of_environment(self.recommender)
        UnknownParams.watch()
        if _OF_SERVER in os.environ and self.recommender.takes_words:
            self.recommender.recommend([Request(query="warm up")], Settings(k=1))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002  (MLflow's signature)
        model_input: pd.DataFrame,
        params: Parameters | None = None,
    ) -> pd.DataFrame:
        """Answer one list per row.

        Args:
            context: unused.
            model_input: any of the columns of :class:`tailor.serving.schema.Request`.
            params: see :class:`tailor.serving.schema.Settings`.

        Returns:
            The fields of :class:`tailor.serving.schema.Answer`, one row per input row, with the index of a table that
            was given; what was understood and each explanation as JSON.

        Raises:
            RefusedError: a column or param is unknown or out of bounds, or the environment lacks what is needed.
        """
        try:
            requests, settings = read_requests(read_table(model_input)), read_settings(params)
            answers = (self.state.model if self.state else self.recommender).recommend(requests, settings)
        except TailorError as problem:
            raise RefusedError(str(problem)) from None
        index = model_input.index if isinstance(model_input, pd.DataFrame) else None
        table = pd.DataFrame([dict(answer) for answer in answers], columns=list(Answer.model_fields), index=index)
        table["understood"] = table["understood"].map(json.dumps)
        table["explanations"] = table["explanations"].map(lambda entries: [json.dumps(entry) for entry in entries])
        return table


def code_paths() -> list[str]:
    """Return the package folder that travels with the model (never as the requirement 'tailor')."""
    return [str(Path(__file__).resolve().parents[1])]


set_model(TailorModel())
__all__ = ["ARTIFACT", "COLUMNS", "PARAMS", "TailorModel", "code_paths", "mlflow", "read_requests", "signature"]
