"""Writes down what made each output, and has a resume make stale outputs again."""

from datetime import UTC, datetime
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from rich.console import Console

from tailor import staleness
from tailor.datasets.fingerprints import Fingerprint, Fingerprints, FingerprintsDataset, latest
from tailor.errors import ConfigurationError


class StalenessHooks:
    """Fingerprints are written as outputs are saved, and read where a run asks for missing outputs only."""

    def __init__(self) -> None:
        self._run = ""
        self._catalog = DataCatalog()
        self._file: FingerprintsDataset | None = None
        self._inputs: dict[str, dict[str, str]] = {}
        self._made: Fingerprints = {}
        """Of this run, those of outputs in memory too."""

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Forget the run before; for a resume, treat stale outputs as missing and say which nodes run again.

        Raises:
            ConfigurationError: the runner has another catalog than ours.
        """
        self._run, self._catalog = run_params["run_id"], catalog
        self._file, self._inputs, self._made = staleness.file_of(catalog), {}, {}
        resume = run_params["only_missing_outputs"]
        if isinstance(catalog, staleness.ResumableCatalog):
            if resume:
                _mark_stale(pipeline, catalog, self._file.known())
            return
        if resume:
            raise ConfigurationError("--only-missing-outputs works with SequentialRunner and ThreadRunner only.")
        for node in pipeline.nodes:  # of ParallelRunner: processes that are started anew know nothing of this run
            for output in node.outputs:
                self._note(output, node, None)

    @hook_impl
    def before_node_run(self, node: Node, catalog: DataCatalog, inputs: dict[str, Any]) -> None:
        """Hash what the node is about to read."""
        if self._file is None:
            return
        known = latest(self._file.known(), self._made)
        self._inputs[node.name] = staleness.inputs_of(
            node, catalog, lambda name: staleness.identity_of_input(name, catalog, known, inputs.get(name))
        )

    @hook_impl
    def before_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Withdraw the old fingerprint: a run that is killed while it writes leaves none."""
        self._note(dataset_name, node, None)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, node: Node) -> None:
        """Write the new fingerprint."""
        if node.name in self._inputs:
            self._note(dataset_name, node, self._inputs[node.name])
        if isinstance(self._catalog, staleness.ResumableCatalog):
            self._catalog.stale.discard(dataset_name)

    def _note(self, name: str, node: Node, inputs: dict[str, str] | None) -> None:
        if self._file is None:
            return
        identity = staleness.identity_of(node, self._catalog, inputs or {}, self._run)
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        self._made[name] = Fingerprint(inputs=inputs, identity=identity, run=self._run, made_at=now)
        if staleness.persisted(self._catalog, name):
            self._file.update({key: entry for key, entry in self._made.items() if self._is_kept(key)})

    def _is_kept(self, name: str) -> bool:
        return staleness.persisted(self._catalog, name)


def _mark_stale(pipeline: Pipeline, catalog: staleness.ResumableCatalog, known: Fingerprints) -> None:
    """Treat stale outputs as missing, and say which nodes run again."""
    stale = staleness.find_stale(pipeline, catalog, known)
    catalog.stale = {output for node in stale for output in node.outputs}
    for node in stale:
        Console().print(str(node), markup=False, highlight=False, soft_wrap=True)
