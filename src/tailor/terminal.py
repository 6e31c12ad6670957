"""What a run prints when it has ended: a few lines and tables that fit the terminal. The whole tables are in files."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tailor import columns as c
from tailor.evaluation.tables import NOTHING
from tailor.evaluation.verdict import NO_DIFFERENCE, against_best_baseline

#: Columns of the summary that every terminal has room for; the others follow as far as they fit.
FIRST = ("warm NDCG", "tail NDCG", "cold NDCG", "new user, 3 items", "coverage")
#: Examples of a problem are shown if they are not longer than this, in characters.
_EXAMPLES = 60
#: Variants of an ablation that are shown for each encoder, beside the whole hybrid.
_VARIANTS = 4
#: Name of the hybrid with all its parts in the table of an ablation.
WHOLE = "all"
#: Characters between two columns.
_BETWEEN = 3


@dataclass(frozen=True)
class FinishedRun:
    """What a run has left."""

    outputs: Collection[str]
    """Names of the datasets that it made."""
    load: Callable[[str], Any]
    """Returns the content of a dataset."""
    path: Callable[[str], str | None]
    """Returns the file of a dataset."""
    registered: str
    """The model that is registered, as the tables call it."""
    next_steps: tuple[str, ...] = ()
    """Commands that make sense now."""
    fit_on: str = c.TRAIN
    """Rows that the models of test lists are fitted on."""
    max_users: int | None = None
    """Users that figures are of, at most; None: all."""


def print_run(run: FinishedRun, console: Console) -> None:
    """Print what a run found, in the order of the pipelines; nothing of pipelines that did not run.

    Args:
        run: what it has left.
        console: where to; nothing is wider, but for paths that are.
    """
    for output, show in _SECTIONS.items():
        if output in run.outputs:
            show(run, console)


def model_table(summary: pd.DataFrame, registered: str, width: int, mark: str = "▸ ") -> Table:
    """Return one row per model with as many figures as fit; no number and no name is cut.

    Args:
        summary: column model and one column per figure.
        registered: the model whose row is marked.
        width: of the terminal, in characters.
        mark: stands before that row's name.
    """
    names = [mark + name if name == registered else " " * len(mark) + name for name in summary[c.MODEL]]
    room = width - max(map(len, [c.MODEL, *names])) - 2
    table = _plain_table()
    table.add_column(c.MODEL, overflow="fold")
    figures = fitting_columns(summary, room)
    for figure in figures:
        table.add_column(_in_two_lines(figure), justify="right", no_wrap=True)
    for name, (_, row) in zip(names, summary.iterrows(), strict=True):
        style = "bold" if name.startswith(mark) else None
        table.add_row(Text(name), *(cell(row[figure]) for figure in figures), style=style)
    return table


def fitting_columns(summary: pd.DataFrame, width: int) -> list[str]:
    """Return the figures that fit beside the names: first those of :data:`FIRST`, then the others in their order."""
    known = [str(name) for name in summary if name != c.MODEL]
    ordered = [name for name in FIRST if name in known] + [name for name in known if name not in FIRST]
    chosen: list[str] = []
    for name in ordered:
        width -= _column_width(name, summary[name]) + _BETWEEN
        if width < 0:
            break
        chosen.append(name)
    return chosen


def verdict_lines(registered: str, verdicts: Iterable[Mapping[str, str]]) -> list[str]:
    """Say in words how the registered model compares with the best baseline, figure by figure.

    Args:
        registered: the model.
        verdicts: as of :func:`tailor.evaluation.verdict.against_best_baseline`.
    """
    of_all = list(verdicts)
    lines = [f"{v['headline']}: {v['words']}, {v['difference']} [{v['low']}, {v['high']}]" for v in of_all]
    first = f"{registered} against the best baseline, with 95 % intervals:"
    if any(v["verdict"] == NO_DIFFERENCE and float(v["low"]) * float(v["high"]) > 0 for v in of_all):
        lines.append("(an interval without 0 beside 'no difference' did not pass the correction for all comparisons)")
    return [first, *lines] if lines else [f"{registered} was compared with no baseline."]


def quality_lines(quality: pd.DataFrame) -> list[str]:
    """Say what was skipped, dropped, repaired or noticed, one line for each problem.

    Args:
        quality: columns table, problem, action, rows, lines, examples.
    """
    title = "Skipped, dropped, repaired, noticed:"
    if quality.empty:
        return [f"{title} nothing"]
    return [title, *(_problem(row) for row in quality.fillna("").to_dict("records"))]


def value_lines(values: pd.DataFrame) -> list[str]:
    """Say what the registered model would have earned, from the table ``policy_value``."""
    first = values.iloc[0]
    estimates = [
        f"{row['estimator']}: {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}], "
        f"{row['effective_n']:.0f} effective rows, {cell(row['clipped'])} clipped"
        for row in values.to_dict("records")
    ]
    log = f"the log's own policy: {first['logged_mean']:.4f} in {first['rows']} rows"
    unknown = f"{first['unknown_rows']} rows of unknown users or items are left out"
    return [f"Reward of {first[c.MODEL]} as a softmax policy, with 95 % intervals:", *estimates, log, unknown]


def domain_value_lines(values: pd.DataFrame) -> list[str]:
    """Say what of that comes from each domain, from the table ``domain_policy_value``; nothing where there is one."""
    lines = []
    for row in values.query("estimator == 'doubly_robust'").to_dict("records"):
        value = "the log has no action of it"
        if row["rows"]:
            value = f"{row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}], the log's own {row['logged_mean']:.4f}"
        shares = f"{row['share']:.0%} of the actions, {row['logged_share']:.0%} of the log's"
        lines.append(f"{row[c.DOMAIN]}: {value}; {shares}")
    return ["Of that reward, by domain (doubly_robust):", *lines] if lines else []


def experiment_lines(metrics: pd.DataFrame) -> list[str]:
    """Say how the arms compare in each metric, from the table ``experiment_metrics``."""
    first = metrics.iloc[0]
    rows = [
        f"{row['metric']}: {row['control']:.4g} and {row['treatment']:.4g}, difference {row['difference']:+.4g}, read "
        f"once [{row['low']:+.4g}, {row['high']:+.4g}], {row['variance_explained']:.0%} of the variance explained by "
        f"the past{'' if row['decides'] else ' (decides nothing)'}"
        for row in metrics.to_dict("records")
    ]
    users = (
        f"{cell(first['control_users'])} users of the champion and {cell(first['treatment_users'])} of the challenger"
    )
    return [f"Experiment, {users}:", *rows]


def tuning_lines(trials: pd.DataFrame) -> list[str]:
    """Say how many trials each model had and which options were chosen, from the table ``tuning_trials``."""
    if trials.empty:
        return ["Tuning: nothing was searched (tuning.method is none)"]
    lines = []
    for model, tried in trials.groupby(c.MODEL, sort=False):
        chosen = tried.loc[tried["chosen"].astype(bool), "options"]
        choice = "as hybrid_cf.trials says" if chosen.empty else _plain(str(chosen.iloc[0]))
        states = ", ".join(f"{n} {state}" for state, n in tried["state"].value_counts(sort=False).items())
        lines.append(f"{model}: {len(tried)} trial{'s' * (len(tried) != 1)} ({states}), chosen: {choice}")
    return ["Tuning:", *lines]


def best_variants(ablation: pd.DataFrame) -> pd.DataFrame:
    """Return of each encoder the whole hybrid and the variants with the highest first figure, best first.

    Args:
        ablation: column model, as ``variant | encoder``, and one column per figure.
    """
    first = next(str(name) for name in ablation if name != c.MODEL)
    names = ablation[c.MODEL].str.split(" | ", regex=False, expand=True)
    ranked = ablation.assign(encoder=names[1], whole=names[0] == WHOLE).sort_values(
        ["encoder", "whole", first], ascending=[True, False, False], kind="stable"
    )
    return ranked.groupby("encoder").head(1 + _VARIANTS)[list(ablation)].reset_index(drop=True)


def drift_lines(drift: pd.DataFrame) -> list[str]:
    """Say how far distributions have moved, from the table ``drift``."""
    rows = drift.to_dict("records")
    return ["Drift (PSI):", *(f"{row['distribution']}: {row['psi']:.3f}, {row['interpretation']}" for row in rows)]


def cell(value: object) -> str:
    """Write a number with three decimals, a whole number or a text as it is, and what is missing as a dash."""
    if isinstance(value, float):
        return NOTHING if math.isnan(value) else f"{value:.3f}"
    return str(value)


def _plain(options: str) -> str:
    """Write options without braces and quotes, numbers with four digits."""
    text = options.strip("{}").replace("'", "")
    return re.sub(r"\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.4g}", text)


def _problem(row: Mapping[Any, Any]) -> str:
    details = [f"lines {row['lines']}"] if row.get("lines") else []
    details += [str(row["examples"])] if row.get("examples") and len(str(row["examples"])) <= _EXAMPLES else []
    where = f" ({'; '.join(details)})" if details else ""
    return f"{row['action']} {row['rows']} in {row['table']}: {row['problem']}{where}"


def _column_width(title: str, values: pd.Series) -> int:
    return max(len(text) for text in [*_in_two_lines(title).split("\n"), *(cell(value) for value in values)])


def _in_two_lines(title: str) -> str:
    """Break a title where its longer line is shortest."""
    words = title.split()
    breaks = [" ".join(words[:n]) + "\n" + " ".join(words[n:]) for n in range(1, len(words))]
    return min(breaks, key=lambda text: max(map(len, text.split("\n"))), default=title)


def _plain_table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)


def _print_lines(lines: Iterable[str], console: Console) -> None:
    """Print a title and what stands under it; long lines go on at a word, indented."""
    for number, line in enumerate(lines):
        if not line:
            continue
        console.print(Padding(Text(line), (0, 0, 0, 2 * (number > 0)), expand=False))


def _print_path(what: str, path: str | None, console: Console) -> None:
    console.print(f"{what}: {path}", markup=False, highlight=False, soft_wrap=True)


def _print_table(title: str, table: Table, console: Console) -> None:
    console.print(Text(f"\n{title}"))
    console.print(table)
    console.print()


def _accounts(name: str, title: str) -> "Callable[[FinishedRun, Console], None]":
    def show(run: FinishedRun, console: Console) -> None:
        _print_table(title, _frame(run.load(name)), console)

    return show


def _frame(frame: pd.DataFrame) -> Table:
    """Return a table with every column; long texts are folded."""
    table = _plain_table()
    for column in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[column])
        table.add_column(str(column).replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(cell(value)) for value in row))
    return table


def _summary(run: FinishedRun, console: Console) -> None:
    mark = "▸ " if console.encoding.lower().startswith("utf") else "> "
    summary = run.load("summary")
    table = model_table(summary, run.registered, console.width, mark)
    left_out = summary.shape[1] - len(table.columns)
    rows = run.fit_on.replace("_", " ")
    of = f", of at most {run.max_users:,} users drawn by seed" if run.max_users else ""
    more = f"; {left_out} more figures are in {run.path('summary')}" if left_out else ""
    _print_table("Test figures, full ranking", table, console)
    _print_lines(
        [
            f"{mark}is the recipe that is registered, fitted on all interactions; figures are of its fit on "
            f"{rows}{of}{more}"
        ],
        console,
    )


def _verdicts(run: FinishedRun, console: Console) -> None:
    if "summary" in run.outputs:
        lines = against_best_baseline(run.load("comparisons"), run.load("summary"))
        _print_lines(verdict_lines(run.registered, lines), console)


def _ablation(run: FinishedRun, console: Console) -> None:
    variants = run.load("ablation")
    best = best_variants(variants)
    _print_table("The hybrid with parts left out", model_table(best, "", console.width), console)
    if len(variants) > len(best):
        _print_lines([f"{len(variants) - len(best)} more variants are in {run.path('ablation')}"], console)


def _promotion(run: FinishedRun, console: Console) -> None:
    model = run.load("promotion")
    console.print(
        f"Registered [bold]{model['name']}[/] version {model['version']} as [bold]{model['alias']}[/]", highlight=False
    )
    _print_lines(["", *(f"{model['decision']}: {reason}" for reason in model["reasons"])], console)
    uri = f"models:/{model['name']}@{model['alias']}"
    console.print(f'Load it: mlflow.pyfunc.load_model("{uri}")', markup=False, highlight=False, soft_wrap=True)


def _tuning(run: FinishedRun, console: Console) -> None:
    summary = run.load("tuning_summary")
    if summary.empty:
        return
    _print_table("Best on validation: hybrid_cf.trials before, the search after", _frame(summary), console)


def _tuned(run: FinishedRun, console: Console) -> None:
    path = run.path("tuned_parameters")
    undo = f"Tuned options: {path} is in force from the next run on. Delete the file to go back to hybrid_cf.trials."
    console.print(undo, markup=False, highlight=False, soft_wrap=True)


def _update(run: FinishedRun, console: Console) -> None:
    made = run.load("registered_update")
    known = ("name", "version", "alias")
    line = f"Registered {made['name']} version {made['version']} as {made['alias']}: {made['decision']}"
    _print_lines([line, *made["reasons"]], console)
    counts = {key: value for key, value in made.items() if isinstance(value, int) and key not in known}
    if counts:
        _print_lines(["Took in " + ", ".join(f"{n} {key.replace('_', ' ')}" for key, n in counts.items())], console)


def _rollback(run: FinishedRun, console: Console) -> None:
    back = run.load("rolled_back")
    line = f"{back['name']}: version {back['champion']} is the champion again, version {back['rolled_back']} is not"
    _print_lines([line], console)


def _forgotten(run: FinishedRun, console: Console) -> None:
    made = run.load("registered_forgotten")
    name = f"{made['name']} version {made['version']}"
    if made["new"]:
        counts = f"{made['users']} people and {made['interactions']} interactions"
        _print_lines([f"Registered {name} as {made['alias']}, without {counts}.", f"{made['left']}."], console)
    else:
        _print_lines([f"The champion, {name}, holds nobody of the suppression list; nothing was registered."], console)


def _holders(run: FinishedRun, console: Console) -> None:
    table = run.load("forgotten")
    n_deleted = int(table["deleted"].sum())
    left = table[~table["deleted"]]
    kinds = left["what"].str.replace(r" \d+$", "", regex=True).value_counts()
    counts = ", ".join(f"{n} {what}" for what, n in kinds.items())
    lines = [f"Deleted: {n_deleted}"] if n_deleted else []
    lines += [f"Still hold them: {counts}"] if len(left) else ["Nothing that was looked at still holds them."]
    _print_lines(lines, console)
    _print_path("Paths and what to do", run.path("forgotten"), console)


def _next_steps(run: FinishedRun, console: Console) -> None:
    _print_path("Report", run.path("report"), console)
    for step in run.next_steps:
        console.print(step, markup=False, highlight=False, soft_wrap=True)


def _lines(name: str, say: Callable[[Any], list[str]]) -> "Callable[[FinishedRun, Console], None]":
    return lambda run, console: _print_lines(say(run.load(name)), console)


def _file(name: str, what: str) -> "Callable[[FinishedRun, Console], None]":
    return lambda run, console: _print_path(what, run.path(name), console)


#: What is printed of each dataset that a run made, in this order.
_SECTIONS: dict[str, Callable[[FinishedRun, Console], None]] = {
    "data_accounts": _accounts("data_accounts", "Rows of the raw tables"),
    "data_quality": _lines("data_quality", quality_lines),
    "data_card_page": _file("data_card_page", "Data card"),
    "summary": _summary,
    "comparisons": _verdicts,
    "ablation": _ablation,
    "policy_value": _lines("policy_value", value_lines),
    "domain_policy_value": _lines("domain_policy_value", domain_value_lines),
    "experiment_metrics": _lines("experiment_metrics", experiment_lines),
    "experiment_verdict": _lines("experiment_verdict", lambda verdict: [verdict["sentence"]]),
    "experiment_plot": _file("experiment_plot", "How the difference went"),
    "tuning_trials": _lines("tuning_trials", tuning_lines),
    "tuning_summary": _tuning,
    "tuned_parameters": _tuned,
    "merged_encoder": _file("merged_encoder", "Tuned encoder, a plain transformers folder"),
    "update_accounts": _accounts("update_accounts", "Rows of the new interactions"),
    "update_quality": _lines("update_quality", quality_lines),
    "drift": _lines("drift", drift_lines),
    "registered_update": _update,
    "rolled_back": _rollback,
    "registered_forgotten": _forgotten,
    "forgotten": _holders,
    "promotion": _promotion,
    "report": _next_steps,
}
