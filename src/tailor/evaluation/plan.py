"""The plan of a run, said once its data are known: what it will cost, and what its size or a limit switched."""

from collections.abc import Sequence

from tailor.evaluation.costs import Cost, Workload

#: What stands for the whole run among its costs.
_ALL = "all"


def plan_lines(costs: Sequence[Cost], work: Workload) -> list[str]:
    """Say what each pipeline will cost, and what the size of the catalogue or a limit switched.

    Args:
        costs: as of :func:`tailor.evaluation.costs.estimate`.
        work: what they were estimated from.
    """
    whole = next(cost for cost in costs if cost.pipeline == _ALL)
    lines = [f"The run will take about {_time(whole.minutes)} and {whole.gib:.1f} GiB: {whole.size}"]
    lines += [
        f"{cost.pipeline}: {_time(cost.minutes)}, {cost.gib:.1f} GiB ({cost.size})"
        for cost in costs
        if cost.pipeline != _ALL
    ]
    if work.lm_factor > 1:
        lines.append(
            f"This processor has no bf16 units: the language model takes about {work.lm_factor:g} times as long "
            "as with them, which is counted above"
        )
    return lines + [f"Switched: {line}" for line in switched(work)]


def switched(work: Workload) -> list[str]:
    """Say what is done in another way, or on a sample, and which option says so; nothing where all is done in full."""
    limits = [
        (
            work.items > work.full_items and work.inverses,
            f"item-item weights of the nearest {work.neighbours:,} items, not of all pairs of {work.items:,} "
            "(max_dense_items of each model)",
        ),
        (
            work.items > work.kernel_items,
            f"cold items are imputed from the {work.kernel_items:,} items with most interactions of {work.items:,} "
            "(hybrid_cf.cold_items.max_items)",
        ),
        (
            work.users * work.items > work.max_cells,
            f"the blend is fitted on {work.max_cells:,} of {work.users * work.items:,} cells "
            "(hybrid_cf.blend.max_cells)",
        ),
        (
            work.tried_users < work.users,
            f"trials are measured on {work.tried_users:,} of {work.users:,} users (hybrid_cf.max_users)",
        ),
        (
            work.trained and work.tuned_items < work.items,
            f"the language model is tuned on {work.tuned_items:,} of {work.items:,} items (lm_finetuning.max_items)",
        ),
        (
            work.listed_users < work.users,
            f"lists, metrics and intervals are of at most {work.listed_users:,} of {work.users:,} users "
            "(evaluation.max_users)",
        ),
        (
            work.validated_users < work.listed_users,
            f"validation's lists are of at most {work.validated_users:,} of {work.listed_users:,} users "
            "(evaluation.max_validation_users)",
        ),
        (
            work.reranked_users < work.users,
            f"re-ranking is traced on {work.reranked_users:,} of {work.users:,} users (evaluation.frontier.max_users)",
        ),
    ]
    return [line for holds, line in limits if holds]


def _time(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes >= 1 else f"{60 * minutes:.0f} s"
