"""What an experiment says: a table of metrics, how the difference went, a figure, one sentence."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from tailor.evaluation.ab_test import Analysis, analyse, read_along
from tailor.evaluation.config import ExperimentOptions
from tailor.evaluation.exposures import Participants

_SENTENCES = {
    "better": "The challenger is better",
    "worse": "The challenger is worse",
    "no difference shown": "No difference is shown",
}


def metric_table(people: Participants, options: ExperimentOptions) -> pd.DataFrame:
    """Return one row per metric, the deciding one first.

    Returns:
        Columns metric, decides, control_users, treatment_users, control, treatment, difference, low, high, p_value,
        sequence_low, sequence_high, variance_explained, ratio_p, verdict.

    Raises:
        BadInputError: an arm has too few users.
    """
    names = list(dict.fromkeys([options.metric, *options.also]))
    rows = [_row(name, analyse(people.sample(name, options.before_days), options)) for name in names]
    return pd.DataFrame(rows).assign(decides=[name == options.metric for name in names])


def _row(metric: str, analysis: Analysis) -> dict[str, object]:
    values = asdict(analysis)
    users, means = values.pop("users"), values.pop("means")
    arms = {"control_users": users[0], "treatment_users": users[1], "control": means[0], "treatment": means[1]}
    return {"metric": metric} | arms | values | {"verdict": analysis.verdict}


def progress(people: Participants, options: ExperimentOptions) -> pd.DataFrame:
    """Return what the deciding metric said as users came in: users, difference and both intervals."""
    sample = people.sample(options.metric, options.before_days)
    counts = np.unique(np.linspace(0, len(sample.value), options.steps + 1).astype(int)[1:])
    readings = read_along(sample, counts.tolist(), options)
    names = ["difference", "low", "high", "sequence_low", "sequence_high"]
    rows = [{"users": sum(one.users)} | {name: getattr(one, name) for name in names} for one in readings]
    return pd.DataFrame(rows, columns=["users", *names])


def sentence(table: pd.DataFrame, people: Participants, options: ExperimentOptions) -> str:
    """Say the verdict in one sentence."""
    row = table.loc[table["decides"]].iloc[0]
    planned, n_users = options.share, int(row["control_users"] + row["treatment_users"])
    if row["verdict"] == "mismatch":
        seen = row["treatment_users"] / n_users
        return (
            f"The arms are not comparable: {seen:.1%} of {n_users} users are in the challenger's arm and {planned:.1%} "
            f"were planned (p = {row['ratio_p']:.1g}); find out who is missing before you read a difference."
        )
    interval = f"[{row['sequence_low']:+.4g}, {row['sequence_high']:+.4g}]"
    return (
        f"{_SENTENCES[row['verdict']]} in {row['metric']}: {row['difference']:+.4g} on {row['control']:.4g} "
        f"({1 - options.level:.0%} confidence sequence {interval}, which may be read at any time), {people.describe}."
    )


def figure(steps: pd.DataFrame, options: ExperimentOptions) -> go.Figure:
    """Draw how the difference and both intervals went."""
    drawn = go.Figure()
    for low, high, name in (("sequence_low", "sequence_high", "confidence sequence"), ("low", "high", "read once")):
        drawn.add_scatter(x=steps["users"], y=steps[low], mode="lines", line={"width": 0}, showlegend=False)
        drawn.add_scatter(x=steps["users"], y=steps[high], mode="lines", line={"width": 0}, fill="tonexty", name=name)
    drawn.add_scatter(x=steps["users"], y=steps["difference"], mode="lines", name="difference")
    drawn.add_hline(y=0, line_dash="dot")
    return drawn.update_layout(
        title=f"Challenger less champion, {options.metric}", xaxis={"title": "users"}, yaxis={"title": "difference"}
    )
