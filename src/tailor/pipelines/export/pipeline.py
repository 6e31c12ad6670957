"""The tuned encoder as a plain transformers folder, for programs that know no PEFT."""

from kedro.pipeline import Node, Pipeline

from tailor.pipelines.export import nodes


def create_pipeline(**_: object) -> Pipeline:
    """Wire ``export``."""
    return Pipeline(
        [Node(nodes.merge_encoder, ["adapter", "params:lm_finetuning"], "merged_encoder", name="merge_encoder")]
    )
