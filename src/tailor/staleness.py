"""Which outputs are stale: made by other parameters, inputs, raw files or code than a run would make them from now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from tailor.datasets.content import content_hash, value_hash
from tailor.datasets.fingerprints import Fingerprint, Fingerprints, FingerprintsDataset
from tailor.errors import ConfigurationError
from tailor.source_code import function_hash, plugins_hash

#: Entry of the catalog that keeps the fingerprints of a data folder.
DATASET = "fingerprints"
#: Among the inputs of a node: its function with all that this imports, and how it is wired; the plug-ins.
CODE = "code"
#: Tag of nodes that do something outside the data folder: the same inputs do not make the same output.
PUBLISH = "publish"
_NO_RUN = "the run to come"


class ResumableCatalog(DataCatalog):
    """A catalog in which stale outputs do not exist until they are saved again; their files stay where they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stale: set[str] = set()

    def exists(self, ds_name: str) -> bool:
        """Whether a dataset exists and is not stale."""
        return ds_name not in self.stale and super().exists(ds_name)


@dataclass(frozen=True)
class Stale:
    """A node whose outputs are there, and why they are not what it would make now."""

    node: str
    outputs: tuple[str, ...]
    changed: tuple[str, ...]
    """Inputs that changed; none where nothing is known of what made the outputs."""

    def __str__(self) -> str:
        """Return one line."""
        reason = f"changed: {', '.join(self.changed)}" if self.changed else "it is not known what made its outputs"
        return f"Stale, runs again: {self.node} ({reason})"


def file_of(catalog: DataCatalog) -> FingerprintsDataset:
    """Return the fingerprints of a catalog's data folder.

    Raises:
        ConfigurationError: the catalog's entry for them is no FingerprintsDataset.
    """
    file = catalog.get(DATASET)
    if not isinstance(file, FingerprintsDataset):
        raise ConfigurationError(f"conf/: catalog entry '{DATASET}' must be a tailor.datasets.FingerprintsDataset.")
    return file


def made_in(run_params: Mapping[str, Any], pipeline: Pipeline, known: Fingerprints) -> set[str]:
    """Return the outputs that a run has made: all, of a resume those that it wrote."""
    if not run_params["only_missing_outputs"]:
        return pipeline.all_outputs()
    run = run_params["run_id"]
    return {name for name, entry in known.items() if entry["run"] == run and entry["inputs"] is not None}


def persisted(catalog: DataCatalog, name: str) -> bool:
    """Whether a dataset outlives the run."""
    return name in catalog and not getattr(catalog.get(name), "_EPHEMERAL", False)


def inputs_of(node: Node, catalog: DataCatalog, identity: Callable[[str], str]) -> dict[str, str]:
    """Return the hash of every input of a node, and of its code.

    Args:
        node: of a pipeline.
        catalog: with its parameters.
        identity: of an input that is no parameter.
    """
    plugins = catalog.load("params:plugins") if "params:plugins" in catalog.keys() else []  # noqa: SIM118
    code = [function_hash(node.func), list(node.inputs), plugins_hash(plugins)]
    hashes = {CODE: value_hash(code)}
    for name in node.inputs:
        hashes[name] = value_hash(catalog.load(name)) if _is_parameter(name) else identity(name)
    return hashes


def identity_of(node: Node, catalog: DataCatalog, inputs: Mapping[str, str], run: str) -> str:
    """Return what readers of a node's outputs depend on: its inputs, and the run where it publishes."""
    return value_hash([dict(inputs), run if _publishes(node, catalog) else None])


def identity_of_input(name: str, catalog: DataCatalog, known: Fingerprints, data: object = None) -> str:
    """Return the recorded identity of a dataset; of one that no run has made, such as raw files, its content's hash.

    Args:
        name: of the dataset.
        catalog: that has it.
        known: fingerprints of outputs.
        data: its data, where they are loaded already.
    """
    if name in known:
        return known[name]["identity"]
    return content_hash(catalog[name], lambda: catalog.load(name) if data is None else data)


def find_stale(pipeline: Pipeline, catalog: DataCatalog, known: Fingerprints) -> list[Stale]:
    """Return the nodes whose outputs exist, but were made by something else than they would be made by now.

    Args:
        pipeline: what is to be run.
        catalog: with its datasets and parameters.
        known: fingerprints of outputs.

    Returns:
        In the order of the pipeline. Nodes after one that publishes (and runs again) are among them; nodes after
        another one are not if its inputs are as they were, for it makes the same again.
    """
    identities: dict[str, str] = {}
    stale = []
    made = pipeline.all_outputs()
    for node in pipeline.nodes:
        inputs = inputs_of(
            node, catalog, lambda name: identities[name] if name in made else identity_of_input(name, catalog, known)
        )
        saved = [name for name in node.outputs if persisted(catalog, name)]
        there = [name for name in saved if catalog.exists(name)]
        changed = [_changed(known.get(name), inputs) for name in there]
        if any(names is not None for names in changed):
            names = dict.fromkeys(name for names in changed for name in names or ())
            stale.append(Stale(node.name, tuple(there), tuple(names)))
        again = len(there) < len(saved) or any(names is not None for names in changed)
        for name in node.outputs:
            keep = _publishes(node, catalog) and not again and name in known
            identities[name] = known[name]["identity"] if keep else identity_of(node, catalog, inputs, _NO_RUN)
    return stale


def _changed(entry: Fingerprint | None, inputs: Mapping[str, str]) -> list[str] | None:
    """Return the inputs that changed, parameters first; None where the fingerprint is right, [] where there is none."""
    recorded = entry["inputs"] if entry else None
    if recorded is None:
        return []
    names = {name for name in recorded.keys() | inputs.keys() if recorded.get(name) != inputs.get(name)}
    return sorted(names, key=lambda name: (not _is_parameter(name), name)) if names else None


def _publishes(node: Node, catalog: DataCatalog) -> bool:
    return PUBLISH in node.tags and any(persisted(catalog, name) for name in node.outputs)


def _is_parameter(name: str) -> bool:
    return name == "parameters" or name.startswith("params:")
