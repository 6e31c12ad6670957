"""The tuned encoder as a plain transformers folder, for programs that know no PEFT."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.export import nodes
from tailor.wiring import group


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``export``."""
    merge = Node(
        func=nodes.merge_encoder,
        inputs=["adapter", "params:lm_finetuning"],
        outputs="merged_encoder",
        name="merge_encoder",
        tags="cpu",
    )
    return group("export", [merge])
