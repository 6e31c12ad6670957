"""The project's pipelines by name."""

from importlib.resources import files

from kedro.framework.project import find_pipelines
from kedro.framework.project import pipelines as project
from kedro.pipeline import Pipeline

from tailor.errors import ConfigurationError, did_you_mean

#: Pipelines that ``kedro run`` leaves out: they are asked for by name.
ON_REQUEST = ("ablation", "export", "offpolicy", "rollback", "tuning", "update")


def register_pipelines() -> dict[str, Pipeline]:
    """Find every pipeline; ``__default__`` is the sum of all but those on request.

    Raises:
        ConfigurationError: a requested pipeline does not exist.
    """
    folders = files("tailor.pipelines").iterdir()
    known = sorted(folder.name for folder in folders if folder.is_dir() and not folder.name.startswith("_"))
    for name in project._requested_pipelines or []:
        if name not in [*known, "__default__"]:
            raise ConfigurationError(f"No pipeline '{name}'.{did_you_mean(name, known)} Known: {', '.join(known)}.")
    pipelines = find_pipelines(raise_errors=True)
    if "__default__" in pipelines:
        pipelines["__default__"] = sum((pipelines[name] for name in known if name not in ON_REQUEST), Pipeline([]))
    return pipelines
