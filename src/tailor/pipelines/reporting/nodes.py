"""Nodes that put the report together. Only those that tell stories see test positives."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Unpack

import pandas as pd
import plotly.graph_objects as go
from scipy import sparse

from tailor.config import parse
from tailor.data.config import CatalogueOptions
from tailor.data.domains import domain_masks
from tailor.evaluation import chosen, plots, report, seeds, stages, stories
from tailor.evaluation.protocol import NewUserProtocol, TestRows, test_protocol
from tailor.evaluation.ranking import LazyTables
from tailor.evaluation.user_sample import describe_sample
from tailor.hybrid.scorer import by_encoder
from tailor.models.base import FittedModel
from tailor.options import EvaluationOptions
from tailor.registry import track
from tailor.serving.champion import load_version
from tailor.serving.visit import visit
from tailor.types import JsonObject, Parameters
from tailor.wiring import STAGES

Models = dict[str, FittedModel]
Matrix = sparse.csr_matrix
Stories = list[JsonObject]


def note_seed(
    summary: pd.DataFrame, fingerprint: dict[str, str], tracked: JsonObject, parameters: Parameters
) -> pd.DataFrame:
    """Keep this seed's summary beside those of other seeds with the same recipe on the same data."""
    same = fingerprint["data_hash"] + str(tracked["git_commit"])
    return summary.assign(**{seeds.SEED: parameters["seed"], seeds.RECIPE: seeds.recipe(parameters, same)})


def tell_new_user(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    lists: LazyTables,
    params: Parameters,
    **rows: Any,
) -> Stories:
    """Tell what the registered model gave a new user; ``rows`` is what the test of new users is made of."""
    options = parse(EvaluationOptions, params, "evaluation")
    if options.registered not in lists:
        return []
    scorer, protocol = by_encoder(frozen, lora)[options.registered], NewUserProtocol.build(users, items, **rows)
    return stories.tell_new_user(scorer, items, users, protocol, lists[options.registered](), max(options.k))


def tell_known_users(
    frozen: Models,
    lora: Models,
    users: pd.DataFrame,
    items: pd.DataFrame,
    test_lists: LazyTables,
    positives: Matrix,
    params: Parameters,
    **known: Unpack[TestRows],
) -> Stories:
    """Tell of a cold item and of a lover of the tail; ``known`` is what ``test_protocol`` takes."""
    options, histories = parse(EvaluationOptions, params, "evaluation"), test_protocol(items, **known).histories
    scorer = by_encoder(frozen, lora)[options.registered]
    lists, k = test_lists[options.registered]().query("candidates == 'mixed'"), max(options.k)
    cold = stories.tell_cold_item(scorer, items, users, histories, positives, lists, k)
    return cold + stories.tell_tail_lover(scorer, items, users, histories, known["train"], positives, lists, k)


def tabulate_boosts(frozen: Models, lora: Models, items: pd.DataFrame, name: str) -> pd.DataFrame:
    """Say where the boosts of the registered model stand in each domain; no rows where there is one."""
    return chosen.tabulate_points(by_encoder(frozen, lora)[name], list(domain_masks(items)))


def walk_visit(registered: JsonObject) -> list[JsonObject]:
    """Walk through a visitor's first minutes with the registered model, as it is served."""
    return visit(load_version(registered["name"], registered["version"]))


def collect_examples(new_user: Stories, known_users: Stories, visited: list[JsonObject]) -> dict[str, Stories]:
    """Put the stories and the visit side by side."""
    return {"stories": new_user + known_users, "visit": visited}


def draw_trade_offs(frozen_curves: pd.DataFrame, lora_curves: pd.DataFrame, chosen: JsonObject, name: str) -> go.Figure:
    """Draw what each boost costs and gains, with the operating point of the registered model."""
    curves = {"hybrid_frozen": frozen_curves, "hybrid_lora": lora_curves}
    drawn = {model: curve for model, curve in curves.items() if len(curve)}
    return plots.trade_off_plot(drawn, name, chosen["boosts"])


def collect_figures(**figures: go.Figure) -> dict[str, go.Figure]:
    """Put the plots side by side, by name."""
    return figures


def collect_tables(**tables: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Put the tables side by side, by name."""
    return tables


def describe_run(
    promotion: JsonObject,
    registered: JsonObject,
    chosen: JsonObject,
    card: JsonObject,
    costs: Mapping[str, Mapping[str, float]],
    catalogues: Parameters,
    model_name: str,
) -> JsonObject:
    """Gather what the report says of the run itself: data, choices, what the stages took, what was registered."""
    about = parse(CatalogueOptions, catalogues.get(model_name, {}), f"catalogues.{model_name}")
    return {
        "catalogue": about.model_dump() | {"name": about.name or model_name},
        "times": {name: card["times"].get(name) for name in ("present", "readable", "first", "last")},
        "written": datetime.now(UTC).date().isoformat(),
        "chosen": chosen | {"registered_boosts": registered.get("boosts", {})},
        "costs": stages.stage_table(costs, STAGES).to_dict("records"),
        "provenance": {name: str(value) for name, value in promotion.items() if name != "boosts"},
    }


def write_report(
    tables: dict[str, pd.DataFrame],
    seed_summaries: pd.DataFrame,
    examples: dict[str, Stories],
    described: JsonObject,
    figures: dict[str, go.Figure],
    params: Parameters,
) -> str:
    """Build the page, and log it and its figures to the run."""
    options = parse(EvaluationOptions, params, "evaluation")
    material = report.Material(
        registered=options.registered,
        fit_on=options.fit_on,
        k=max(options.k),
        seeds=seeds.spread(seed_summaries),
        figures=figures,
        run=described,
        sample=describe_sample(tables["data_summary"], options.max_users),
        stories=examples["stories"],
        visit=examples["visit"],
        **tables,  # type: ignore[arg-type]
    )
    html = report.build(material)
    track.log_report(html, report.all_figures(material))
    return html
