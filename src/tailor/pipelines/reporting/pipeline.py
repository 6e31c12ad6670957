"""Summaries over seeds, three stories of the tail, what a visitor gets and why, and the report."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.reporting import nodes
from tailor.wiring import HYBRIDS, TEST_PROTOCOL, group

_PRIVATE = [
    "new_user_story",
    "known_user_stories",
    "domain_boosts",
    "visit",
    "report_examples",
    "report_figures",
    "report_tables",
    "run_description",
]
#: Read by the stories beside the lists they tell of.
_OF_STORIES = HYBRIDS | {"users": "users", "items": "items", "params": "params:evaluation"}


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``reporting``."""
    return group("reporting", [*_tell(), *_collect(), _describe(), _write()], _PRIVATE)


def _tell() -> list[Node]:
    return [
        Node(
            func=nodes.tell_new_user,
            inputs=_OF_STORIES
            | {
                "lists": "new_user_recommendations",
                "new_user": "new_user_matrix",
                "reveal_order": "reveal_order_matrix",
                "side_features": "side_features",
                "user_texts": "user_text_embeddings",
            },
            outputs="new_user_story",
            name="tell_new_user",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.tell_known_users,
            inputs=_OF_STORIES | {"test_lists": "test_lists", "positives": "test_positives"} | TEST_PROTOCOL,
            outputs="known_user_stories",
            name="tell_known_users",
            tags=["cpu", "report"],
        ),
        Node(
            func=nodes.walk_visit, inputs="registered_model", outputs="visit", name="walk_visit", tags=["cpu", "report"]
        ),
        Node(
            func=nodes.collect_examples,
            inputs=["new_user_story", "known_user_stories", "visit"],
            outputs="report_examples",
            name="collect_examples",
            tags=["cpu", "report"],
        ),
    ]


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
            func=nodes.draw_trade_offs,
            inputs={
                "frozen_curves": "hybrid_frozen_trade_off_curves",
                "lora_curves": "hybrid_lora_trade_off_curves",
                "chosen": "chosen_options",
                "name": "params:evaluation.registered",
            },
            outputs="trade_off_plot",
            name="draw_trade_offs",
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


def _describe() -> Node:
    return Node(
        func=nodes.describe_run,
        inputs={
            "promotion": "promotion",
            "registered": "registered_model",
            "chosen": "chosen_options",
            "card": "data_card",
            "costs": "node_costs",
            "catalogues": "params:catalogues",
            "model_name": "params:model_name",
        },
        outputs="run_description",
        name="describe_run",
        tags=["cpu", "report"],
    )


def _write() -> Node:
    return Node(
        func=nodes.write_report,
        inputs={
            "tables": "report_tables",
            "seed_summaries": "seed_summaries",
            "examples": "report_examples",
            "described": "run_description",
            "figures": "report_figures",
            "params": "params:evaluation",
        },
        outputs="report",
        name="write_report",
        tags=["cpu", "publish", "report"],
    )
