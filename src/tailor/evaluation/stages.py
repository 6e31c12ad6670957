"""What the stages of a run took, and what validation chose, as tables that people read."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from tailor.hybrid.sources import SOURCES

#: Columns of the table of stages.
STAGE_COLUMNS = ["stage", "steps", "seconds", "peak GiB", "longest step", "its seconds"]
_FEW = "few_shot_"


def stage_table(costs: Mapping[str, Mapping[str, float]], stages: Sequence[str]) -> pd.DataFrame:
    """Sum up what the nodes of each pipeline took when they last ran.

    Args:
        costs: by full name of the node, seconds and peak_gib (the most memory that the process had meanwhile).
        stages: names of the pipelines, in the order of the rows; one of which nothing is known has no row.

    Returns:
        Columns :data:`STAGE_COLUMNS`.

    Example:
        >>> fit, wait = {"seconds": 9.0, "peak_gib": 1.5}, {"seconds": 1.0, "peak_gib": 2.0}
        >>> stage_table({"hybrid_cf.fit": fit, "hybrid_cf.wait": wait}, ["hybrid_cf"]).to_numpy().tolist()
        [['hybrid_cf', 2, 10.0, 2.0, 'fit', 9.0]]
    """
    rows = []
    for name in stages:
        nodes = {node.partition(".")[2]: cost for node, cost in costs.items() if node.partition(".")[0] == name}
        if nodes:
            longest = max(nodes, key=lambda node: nodes[node]["seconds"])
            seconds = sum(cost["seconds"] for cost in nodes.values())
            peak = max(cost["peak_gib"] for cost in nodes.values())
            rows.append((name, len(nodes), seconds, peak, longest, nodes[longest]["seconds"]))
    return pd.DataFrame(rows, columns=STAGE_COLUMNS)


def weight_table(weights: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Return the blend weights that validation chose, a row for each source.

    Args:
        weights: as of :func:`tailor.evaluation.chosen.describe_choice`: warm, cold, ``few_shot_n``; by source.

    Returns:
        Columns source, what it is, and one for each kind of weights.
    """
    kinds = {"warm": "warm items", "cold": "cold items"}
    kinds |= {name: f"≤ {name.removeprefix(_FEW)} known" for name in weights if name.startswith(_FEW)}
    names = list(weights["warm"])
    table = {"source": names, "what it is": [SOURCES[name].label if name in SOURCES else name for name in names]}
    return pd.DataFrame(
        table | {title: [weights[kind].get(name, 0.0) for name in names] for kind, title in kinds.items()}
    )


def option_table(options: Mapping[str, object], prefix: str = "") -> pd.DataFrame:
    """Return options as rows, those inside others with dotted names.

    Example:
        >>> option_table({"ease": {"regularization": 50.0}}).to_numpy().tolist()
        [['ease.regularization', '50']]
    """
    return pd.DataFrame(list(_flat(options, prefix)), columns=["option", "value"])


def _flat(options: Mapping[str, object], prefix: str) -> Iterable[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, f"{value:g}" if isinstance(value, float) else str(value)
