"""Summaries over seeds, what three users and a visitor get and why, and the report."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.reporting import nodes
from tailor.wiring import HYBRIDS, TEST_PROTOCOL, group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``reporting``."""
    private = ["sample_users", "domain_boosts", "visit", "report_figures", "report_tables"]
    return group("reporting", [*_collect(), _write()], private)


def _collect() -> list[Node]:
    return [
        Node(
            func=nodes.note_seed,
            inputs={
                "summary": "summary",
                "fingerprint": "fingerprint",
                "tracked": "tracked_run",
                "parameters": "parameters",
            },
            outputs="seed_summaries",
            name="note_seed",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.explain_sample_users,
            inputs=HYBRIDS
            | {
                "users": "users",
                "items": "items",
                "test_lists": "test_lists",
                "params": "params:evaluation",
                "seed": "params:seed",
            }
            | TEST_PROTOCOL,
            outputs="sample_users",
            name="explain_sample_users",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.tabulate_boosts,
            inputs=HYBRIDS | {"items": "items", "name": "params:evaluation.registered"},
            outputs="domain_boosts",
            name="tabulate_boosts",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.walk_visit, inputs="registered_model", outputs="visit", name="walk_visit", tags=["cpu", "report"]
        ),
        Node(
            func=nodes.collect_figures,
            inputs={
                "comparison": "comparison_plot",
                "trade_off": "trade_off_plot",
                "frontier": "frontier_plot",
                "calibration": "calibration_plot",
                "training": "lm_training_plot",
            },
            outputs="report_figures",
            name="collect_figures",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.collect_tables,
            inputs={
                "summary": "summary",
                "comparisons": "comparisons",
                "metrics": "metrics",
                "domains": "domain_metrics",
                "domain_boosts": "domain_boosts",
                "clicks": "click_metrics",
                "ratings": "rating_metrics",
                "quality": "data_quality",
                "accounts": "data_accounts",
                "data_summary": "data_summary",
                "group_figures": "group_figures",
                "group_gaps": "group_gaps",
                "user_quantiles": "user_quantiles",
            },
            outputs="report_tables",
            name="collect_tables",
            tags=["cpu", "report"],
        ),
    ]


def _write() -> Node:
    return Node(
        func=nodes.write_report,
        inputs={
            "tables": "report_tables",
            "seed_summaries": "seed_summaries",
            "examples": "sample_users",
            "visited": "visit",
            "balance": "balance_preset",
            "figures": "report_figures",
            "promotion": "promotion",
            "params": "params:evaluation",
        },
        outputs="report",
        name="write_report",
        tags=["cpu", "publish", "report"],
    )
