"""Nodes of ``experiment``."""

import pandas as pd
import plotly.graph_objects as go

from tailor.config import parse
from tailor.evaluation import experiment_report as report
from tailor.evaluation.config import ExperimentOptions
from tailor.evaluation.exposures import Participants, participants
from tailor.registry import track
from tailor.types import JsonObject, Parameters


def find_participants(events: pd.DataFrame, params: Parameters) -> Participants:
    """Find who took part, and what was listed to them."""
    return participants(events, parse(ExperimentOptions, params, "experiment"))


def analyse(people: Participants, params: Parameters) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure, JsonObject]:
    """Compare the arms; say in one sentence what came out."""
    options = parse(ExperimentOptions, params, "experiment")
    table, steps = report.metric_table(people, options), report.progress(people, options)
    figure, verdict = report.figure(steps, options), report.sentence(table, people, options)
    track.log_experiment(table, figure, verdict)
    return table, steps, figure, {"verdict": str(table["verdict"].iloc[0]), "sentence": verdict}
