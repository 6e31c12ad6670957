"""What a backtest prints: one table for each date, and the mean over the dates."""

import numpy as np

from tailor.evaluation.backtest import BOOSTS_OFF, FIGURES, HYBRID, BacktestOptions, DateResult, Lead, mean_over_dates

Figures = dict[str, dict[str, float]]


def describe_date(result: DateResult, number: int, options: BacktestOptions) -> str:
    """Say what one date showed.

    Args:
        result: of the date.
        number: from 1.
        options: what was asked for.
    """
    n = result.counts
    lines = [
        "",
        f"Date {number} of {options.dates}: until {result.until}. {n['rows']:,} rows ({n['later_rows']:,} later ones "
        f"left out), {n['users']:,} users, {n['items']:,} items ({n['items_without_rows']:,} without a row yet).",
        f"Rows: {n['train_rows']:,} train, {n['validation_rows']:,} validation, {n['test_rows']:,} test, "
        f"{n['cold_rows']:,} of cold items in the test window. Fitted on {result.fit_on.replace('_', ' ')}. "
        f"{n['known_test_users']:,} of the {n['test_users']:,} users of the test window have a history. "
        f"{result.seconds / 60:.1f} minutes.",
        *_table(result.table, options.k),
        *(_lead(lead) for lead in result.leads),
    ]
    return "\n".join(lines)


def describe_mean(results: list[DateResult], options: BacktestOptions) -> str:
    """Say what all dates showed together: means, and on how many of them a hybrid leads."""
    lines = ["", f"Mean over {len(results)} dates", *_table(mean_over_dates(results), options.k)]
    for model in (BOOSTS_OFF, HYBRID):
        for figure in FIGURES:
            compared = [
                lead for result in results for lead in result.leads if (lead.model, lead.figure) == (model, figure)
            ]
            if compared:
                ahead, behind = sum(lead.low > 0 for lead in compared), sum(lead.high < 0 for lead in compared)
                mean = np.mean([lead.difference for lead in compared])
                lines.append(
                    f"{model}, {figure}: {mean:+.4f} on average; better than the best baseline on {ahead} of "
                    f"{len(compared)} dates, worse on {behind}"
                )
    return "\n".join(lines)


def _table(figures: Figures, k: int) -> list[str]:
    width = max(len(name) for name in figures)
    head = f"{f'NDCG@{k}':{width}}" + "".join(f"{name:>9}" for name in FIGURES)
    return [head, *(f"{model:{width}}" + "".join(map(_cell, row.values())) for model, row in figures.items())]


def _cell(value: float) -> str:
    return f"{value:9.4f}" if np.isfinite(value) else f"{'–':>9}"


def _lead(lead: Lead) -> str:
    return (
        f"{lead.model} - {lead.against}, {lead.figure}: {lead.difference:+.4f} [{lead.low:+.4f}, {lead.high:+.4f}], "
        f"{lead.n_users:,} users"
    )
