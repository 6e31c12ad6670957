"""Keeps, with every version that a run registers, what a rerun needs."""

from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node

from tailor.pipeline_registry import default_pipeline
from tailor.reproduction import digests, record


class ReproductionHooks:
    """Write the record of a version to its run, once it is registered."""

    def __init__(self) -> None:
        self._environment, self._data, self._project = "", "", Path()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember the environment and the folder that it writes to."""
        self._environment, self._project = context.env or "", Path(context.project_path)
        self._data = str(context.config_loader["globals"]["data"])

    @hook_impl
    def after_node_run(self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
        """Write the record, after the node that registers."""
        if node.name != digests.REGISTER:
            return
        (registered,) = outputs.values()
        if not registered["run_id"]:
            return
        pipeline = digests.reproducible(default_pipeline())
        made = record.Record(
            environment=self._environment,
            data=self._data,
            parameters=catalog.load("parameters"),
            raw=digests.raw_digests(pipeline, catalog),
            fingerprint=inputs["fingerprint"],
            code=record.code_in_force(self._project),
            outputs=digests.digest_outputs(pipeline, catalog, inputs[digests.RECOMMENDER]),
        )
        record.write(registered["run_id"], made)
