"""An environment at a date: its own pipelines, run in memory with the parameters of that date."""

import warnings
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from tailor import columns as c
from tailor.config import parse
from tailor.data.cleaning import RowRules, clean
from tailor.data.config import DataProcessingOptions
from tailor.data.people import NOBODY, People, SuppressionList
from tailor.data.quality import QualityReport
from tailor.data.until import iso
from tailor.environment import LOADER_ARGS, check_configuration, check_environment
from tailor.errors import BadInputError
from tailor.evaluation.backtest import BacktestOptions, Windows, count_rows, measure_date, measured_models
from tailor.evaluation.protocol import test_protocol
from tailor.hybrid.config import HybridOptions
from tailor.hybrid.scorer import scorer_of
from tailor.hybrid.selection import baseline_names
from tailor.models import checkpoints
from tailor.options import TunedOptions
from tailor.pipeline_registry import default_pipeline
from tailor.types import JsonObject, Parameters
from tailor.wiring import HYBRIDS, TEST_PROTOCOL

_RAW, _SUPPRESSIONS = ("interactions", "items", "users"), "suppressions"
_MODELS = {"baselines": "baseline_models", "hybrid": HYBRIDS["frozen"]}
_TABLES = {"interactions": "interactions", "items": "items", "users": "users"}
_ROWS = {"test": "test_matrix", "cold": "cold_matrix", "quality": "data_quality"}


@dataclass(frozen=True)
class Project:
    """The parameters of an environment, and its raw tables."""

    parameters: Parameters
    raw: dict[str, pd.DataFrame]
    """Raw tables by name of their dataset, raw_interactions and so on."""
    suppressions: SuppressionList = NOBODY
    """People who are left out."""

    @classmethod
    def read(cls, environment: str | None, conf_source: str, project_path: Path) -> "Project":
        """Read an environment; what can be downloaded is.

        Args:
            environment: folder of conf/; None for the default.
            conf_source: folder or archive of the configuration.
            project_path: folder that relative paths of the catalog start from.

        Raises:
            ConfigurationError: there is no such environment, or a parameter does not exist.
        """
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # what OmegaConf will call otherwise
            loader = OmegaConfigLoader(conf_source=conf_source, env=environment, **LOADER_ARGS)
            check_environment(loader, environment)
            context = KedroContext(project_path, loader, environment, "tailor", _create_hook_manager())
            parameters = context.params
            check_configuration(parameters)
            checkpoints.set_folder(parameters["hybrid_cf"].get("checkpoints"))
            raw = {f"raw_{name}": context.catalog.load(f"raw_{name}") for name in _RAW}
            return cls(parameters, raw, context.catalog.load(_SUPPRESSIONS))

    def times(self, parameters: Parameters) -> pd.Series:
        """Return the times of the rows that cleaning leaves, in seconds.

        Raises:
            BadInputError: the environment has no times, or labels of its own.
        """
        options = parse(DataProcessingOptions, parameters["data_processing"], "data_processing")
        _check(options)
        raw = {name: self.raw[f"raw_{name}"].copy() for name in _RAW}
        rules = RowRules(People(self.suppressions), options.events)
        tables = clean(raw, options.columns, options.cleaning, QualityReport(), rules)
        return tables.interactions[c.TIMESTAMP]

    def on(self, windows: Windows, options: BacktestOptions) -> Parameters:
        """Return the parameters of a date.

        Rows after it do not exist; windows are those of the date; no user is held out as new, since new ones come by
        themselves; options that a search chose on rows of the whole catalogue are not read; the sources and baselines
        are those that were asked for.

        Raises:
            BadInputError: a window has no row.
            ConfigurationError: a source or a baseline does not exist.
        """
        parameters = deepcopy(self.parameters)
        data, hybrid = parameters["data_processing"], parameters["hybrid_cf"]
        data.setdefault("cleaning", {})["until"] = iso(windows.test)
        shares = windows.shares(self.times(parameters))
        data["split"] = data.get("split", {}) | shares | {"strategy": "global_time", "new_users": 0.0}
        parameters["tuned"] = {name: {} for name in TunedOptions.model_fields}
        hybrid["baselines"] = list(options.baselines)
        hybrid["sources"] = hybrid["sources"] | dict.fromkeys(options.leave_out)
        check_configuration(parameters)
        baseline_names(parse(HybridOptions, hybrid, "hybrid_cf"))
        return parameters


def _check(options: DataProcessingOptions) -> None:
    """Refuse a catalogue that cannot be cut at a date."""
    if options.domains:
        raise BadInputError(
            f"A backtest cuts all rows at a date, but {', '.join(options.domains)} need not have one clock. Run it in "
            "the environment of one of them."
        )
    mapped = options.columns.interactions
    if c.TIMESTAMP not in mapped:
        raise BadInputError(
            "A backtest needs times, but no column is mapped to 'timestamp'. Map one in "
            "data_processing.columns.interactions."
        )
    if c.SPLIT in mapped:
        raise BadInputError(
            f"A backtest cuts the rows by date, but the column '{mapped[c.SPLIT]}' is mapped to 'split', which labels "
            "them already. Unmap it in data_processing.columns.interactions, in an environment of its own."
        )


def run(project: Project, parameters: Parameters, k: int) -> JsonObject:
    """Run the pipelines of a date up to the fitted models, and measure these.

    Args:
        project: with raw tables.
        parameters: of the date.
        k: length of lists.

    Returns:
        Arguments of :class:`tailor.evaluation.backtest.DateResult`, all but its date and time.
    """
    seed = int(parameters["seed"])

    def measure(**inputs: Any) -> JsonObject:
        interactions, items, users = (inputs[name] for name in _TABLES)
        rules = test_protocol(items, **{name: inputs[name] for name in TEST_PROTOCOL})
        models = measured_models(inputs["baselines"], scorer_of(inputs["hybrid"]))
        table, leads, counts = measure_date(models, rules, inputs["test"] + inputs["cold"], users, items, k, seed)
        counts = count_rows(interactions, items, users, inputs["quality"]) | counts
        return {"table": table, "leads": leads, "counts": counts, "fit_on": parameters["evaluation"]["fit_on"]}

    needed = _MODELS | _TABLES | _ROWS | TEST_PROTOCOL
    node = Node(func=measure, inputs=needed, outputs="measured", name="measure")
    pipeline = default_pipeline().to_outputs(*needed.values()) + Pipeline([node])
    catalog = DataCatalog(datasets=_datasets(pipeline, project, parameters))
    SequentialRunner().run(pipeline, catalog, _create_hook_manager())
    measured: JsonObject = catalog.load("measured")
    return measured


def _datasets(pipeline: Pipeline, project: Project, parameters: Parameters) -> dict[str, Any]:
    """Hold all that nodes read and write in memory: raw tables as copies, the rest as it is."""
    made = {name: MemoryDataset(copy_mode="assign") for name in pipeline.all_outputs()}
    known = project.raw | {_SUPPRESSIONS: project.suppressions}
    return made | {name: MemoryDataset(_input(name, known, parameters)) for name in pipeline.inputs()}


def _input(name: str, known: Mapping[str, object], parameters: Parameters) -> Any:
    if name == "parameters":
        return parameters
    if name.startswith("params:"):
        return _below(parameters, name.removeprefix("params:").split("."))
    return known[name]


def _below(value: Any, path: Iterable[str]) -> Any:
    for key in path:
        value = value[key]
    return value
