"""Which outputs a version stands on, and the hash of each."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from tailor.datasets.content import content_hash, file_hash, table_hash, value_hash
from tailor.datasets.location import Location
from tailor.datasets.tables import ParquetDataset
from tailor.reproduction.record import Output
from tailor.serving import package
from tailor.serving.recommender import Recommender
from tailor.staleness import PUBLISH, persisted

#: The node that registers a version, the one that fits what is handed over, and what that makes.
REGISTER, REFIT, RECOMMENDER = "registration.register", "registration.refit", "registration.recommender"


def reproducible(whole: Pipeline) -> Pipeline:
    """Return the nodes that a registered version stands on: all that lead to it, but for those that publish.

    Args:
        whole: what ``kedro run`` runs.
    """
    leading = whole.to_nodes(REGISTER)
    publishing = leading.only_nodes_with_tags(PUBLISH)
    return leading - leading.from_nodes(*(node.name for node in publishing.nodes))


def digest_outputs(pipeline: Pipeline, catalog: DataCatalog, recommender: Recommender | None = None) -> list[Output]:
    """Hash every output of a pipeline that outlives a run, in the order of its nodes; then what is handed over.

    Args:
        pipeline: as of :func:`reproducible`.
        catalog: with the outputs; one that does not exist is left out.
        recommender: the refitted one; None where the pipeline does not make it.
    """
    outputs = [
        Output(node.name, name, digest(name, catalog))
        for node in pipeline.nodes
        for name in node.outputs
        if persisted(catalog, name) and catalog.exists(name)
    ]
    handed_over = (
        [] if recommender is None else [Output(REFIT, RECOMMENDER.partition(".")[2], recommender_digest(recommender))]
    )
    return [*outputs, *handed_over]


def digest(name: str, catalog: DataCatalog) -> str:
    """Hash what a dataset holds: tables by their cells, so that no version of a library shows; other files as they are.

    Returns:
        16 hexadecimal digits.
    """
    dataset = catalog[name]
    if isinstance(dataset, ParquetDataset):
        return table_hash(catalog.load(name))
    return content_hash(dataset, lambda: catalog.load(name))


def raw_digests(pipeline: Pipeline, catalog: DataCatalog) -> dict[str, str]:
    """Hash the raw tables of a pipeline, by name, and how each is read; who is left out, if anybody is."""
    inputs = (name for name in pipeline.inputs() if name != "parameters" and not name.startswith("params:"))
    names = sorted(name for name in inputs if not getattr(catalog[name], "is_empty", False))
    return {name: content_hash(catalog[name], lambda name=name: catalog.load(name)) for name in names}  # type: ignore[misc]


def recommender_digest(recommender: Recommender) -> str:
    """Hash the numbers of what is handed over: the fitted model, histories, ids.

    The weights of its encoder are those of the adapter, which is an output of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        package.write_model(
            path,
            recommender.model,
            recommender.users,
            recommender.items,
            recommender.histories,
            recommender.tie_rank,
            recommender.about,
        )
        return value_hash(_numbers(path))


def _numbers(folder: Path) -> Mapping[str, str]:
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".npz"))
    return {path.name: file_hash(Location.parse(str(path))) for path in files}
