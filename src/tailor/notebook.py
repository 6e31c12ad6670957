"""What notebooks compute from the catalog of a finished run: lists of further models, and what each user gets of them.

    lists = list_users(catalog, {"boosts off": hybrid.with_boosts(hybrid.boosts.off())})
    mean_figures(measure_users(catalog, lists))

Nothing is written, and figures are those that a run would report of these models: the same users, candidates and rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from tailor import columns as c
from tailor.config import parse
from tailor.evaluation import measure
from tailor.evaluation.protocol import EvalProtocol, test_protocol
from tailor.evaluation.ranking import LazyTables, check_models
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.wiring import TEST_PROTOCOL


class Catalog(Protocol):
    """What is asked of Kedro's catalog."""

    def load(self, name: str) -> Any:
        """Return what a dataset holds."""


def list_users(catalog: Catalog, models: Mapping[str, FittedModel]) -> LazyTables:
    """List for every known user of the test with further models; nothing is scored until a table is asked for.

    Args:
        catalog: of a run that ended.
        models: fitted on the items of the catalogue, by name.
    """
    parameters = catalog.load("parameters")
    users, items = catalog.load("users"), catalog.load("items")
    return measure.list_known_users(
        dict(models), _rules(catalog), c.TEST, users, items, _options(parameters), parameters["seed"]
    )


def measure_users(catalog: Catalog, lists: LazyTables, models: Sequence[str] | None = None) -> measure.HeadlineValues:
    """Return per headline and model the value of every user (U,) on test, NaN where there is none.

    Args:
        catalog: of a run that ended.
        lists: ``catalog.load("test_lists")``, or those of :func:`list_users`.
        models: names; None: all of ``lists``.

    Raises:
        ConfigurationError: there are no lists of a model.
    """
    names = list(lists) if models is None else list(models)
    check_models(lists, names)
    users, items = catalog.load("users"), catalog.load("items")
    counted, k = catalog.load("test_positives"), max(_options(catalog.load("parameters")).k)
    tables = (lists[name]() for name in names)
    return measure.headline_values(tables, _rules(catalog), counted, users, measure.popularity_metadata(items), k)


def mean_figures(values: measure.HeadlineValues) -> pd.DataFrame:
    """Return the mean over users of every headline, a row for each model, in the order of the models."""
    return pd.DataFrame({headline: pd.DataFrame(of_models).mean() for headline, of_models in values.items()})


def _options(parameters: Mapping[str, Any]) -> EvaluationOptions:
    return parse(EvaluationOptions, parameters["evaluation"], "evaluation")


def _rules(catalog: Catalog) -> EvalProtocol:
    """Return the rules of test lists; no positive of the test is needed for them."""
    known = {name: catalog.load(dataset) for name, dataset in TEST_PROTOCOL.items()}
    return test_protocol(catalog.load("items"), **known)
