"""The baselines, and the hybrid on frozen and on LoRA embeddings (one template, two namespaces)."""

from kedro.pipeline import Node, Pipeline

from tailor.hybrid.holdout import hold_out
from tailor.pipelines.hybrid_cf import nodes
from tailor.wiring import HOLDOUT, group

#: Outputs of the template; they are called ``hybrid_frozen_choice``, ``hybrid_lora_choice``, and so on.
_OUTPUTS = ["choice", "trials", "selected", "validation_model", "model", "trade_off_curves", "blend_models"]
_PRIVATE = ["holdout", "train_set", "hybrid_frozen_selected", "hybrid_lora_selected"]


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``hybrid_cf``."""
    return group("hybrid_cf", [*_data(), *_baselines(), _hybrid("frozen"), _hybrid("lora")], private=_PRIVATE)


def _data() -> list[Node]:
    return [
        Node(func=hold_out, inputs=HOLDOUT, outputs="holdout", name="hold_out", tags="cpu"),
        Node(
            func=nodes.gather_train_set,
            inputs={
                "train": "train_matrix",
                "validation": "validation_matrix",
                "order": "order_matrix",
                "items": "items",
                "side_features": "side_features",
                "user_texts": "user_text_embeddings",
                "strengths": "strength_matrix",
                "fit_on": "params:evaluation.fit_on",
            },
            outputs="train_set",
            name="gather_train_set",
            tags="cpu",
        ),
    ]


def _baselines() -> list[Node]:
    return [
        Node(
            func=nodes.select_baselines,
            inputs={
                "holdout": "holdout",
                "embeddings": "item_embeddings_frozen",
                "params": "params:hybrid_cf",
                "tuned": "params:tuned.baselines",
                "seed": "params:seed",
            },
            outputs=["baseline_choice", "baseline_trials", "baseline_validation_models"],
            name="select_baselines",
            tags="cpu",
        ),
        Node(
            # By its name it stands behind the hybrid's fit, which fits transformers two at a time; one serves both.
            func=nodes.refit_baselines,
            inputs={
                "train_set": "train_set",
                "embeddings": "item_embeddings_frozen",
                "choice": "baseline_choice",
                "seed": "params:seed",
            },
            outputs="baseline_models",
            name="refit_baselines",
            tags="cpu",
        ),
    ]


def _template() -> Pipeline:
    return Pipeline(
        [
            Node(
                func=nodes.select_hybrid,
                inputs={
                    "holdout": "holdout",
                    "embeddings": "item_embeddings",
                    "params": "params:hybrid_cf",
                    "tuned": "params:tuned",
                    "seed": "params:seed",
                },
                outputs=["choice", "trials", "selected"],
                name="select_hybrid",
                tags="cpu",
            ),
            Node(
                func=nodes.fit_hybrid,
                inputs={
                    "holdout": "holdout",
                    "train_set": "train_set",
                    "embeddings": "item_embeddings",
                    "choice": "choice",
                    "selected": "selected",
                    "params": "params:hybrid_cf",
                    "seed": "params:seed",
                },
                outputs=["validation_model", "model", "trade_off_curves", "blend_models"],
                name="fit_hybrid",
                tags="cpu",
            ),
        ]
    )


def _hybrid(encoder: str) -> Pipeline:
    return Pipeline(
        _template(),
        namespace=encoder,
        inputs={"holdout": "holdout", "train_set": "train_set", "item_embeddings": f"item_embeddings_{encoder}"},
        outputs={name: f"hybrid_{encoder}_{name}" for name in _OUTPUTS},
        parameters={
            "params:hybrid_cf": "params:hybrid_cf",
            "params:tuned": f"params:tuned.hybrid_{encoder}",
            "params:seed": "params:seed",
        },
    )
