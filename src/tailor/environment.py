"""What an environment of conf/ says about its registry: where it is, and what its model is called."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.config import MissingConfigException, OmegaConfigLoader
from omegaconf.resolvers import oc

from tailor.errors import BadInputError, ConfigurationError, did_you_mean
from tailor.types import Parameters

_TRACKING_URI = "MLFLOW_TRACKING_URI"


def local_artifacts(folder: str) -> str | None:
    """Return where a local MLflow store keeps its artifacts; None where MLFLOW_TRACKING_URI names another store."""
    return None if os.environ.get(_TRACKING_URI) else folder


#: How Kedro reads conf/.
LOADER_ARGS: dict[str, Any] = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
    "custom_resolvers": {"oc.env": oc.env, "local_artifacts": local_artifacts},
}


@dataclass(frozen=True)
class Environment:
    """Names and places of an environment."""

    model: str
    """Name in the registry."""
    alias: str
    """Of the version that is served."""
    data: Path
    """Folder that the environment writes to."""
    tracking_uri: str
    """Of its MLflow store."""


def environments(loader: Any) -> list[str]:
    """Return the names of a configuration's environments, whether it is a folder, an archive or a URL."""
    root = Path(loader._get_conf_env_path(loader.base_env)).parent.as_posix()
    return sorted(
        Path(entry["name"]).name for entry in loader._fs.ls(root, detail=True) if entry["type"] == "directory"
    )


def check_environment(loader: Any, name: str | None) -> None:
    """Refuse an environment that does not exist; without conf/local, conf/base alone is in force.

    Args:
        loader: Kedro's, whose default environment may be set to its base.
        name: as given on the command line, None for the default.

    Raises:
        ConfigurationError: naming the environment and those that exist.
    """
    known = environments(loader)
    if name and name not in known:
        raise ConfigurationError(
            f"No environment '{name}': conf/{name} does not exist.{did_you_mean(name, known)} "
            f"Known: {', '.join(known)}. For an own catalogue: make new NAME={name}."
        )
    if loader.default_run_env not in known:
        loader.default_run_env = loader.base_env
        loader["globals"] = loader["globals"]  # they were read before


def check_configuration(params: Parameters) -> None:
    """Refuse a parameter that does not exist, and a plug-in that cannot be imported.

    Args:
        params: all parameters of a project.

    Raises:
        ConfigurationError: naming the parameter, and what exists.
    """
    from tailor.config import parse  # noqa: PLC0415  (`tailor store` needs none of these)
    from tailor.options import ProjectOptions  # noqa: PLC0415
    from tailor.plugins import load_plugins  # noqa: PLC0415
    from tailor.serving.scenario import read_scenarios  # noqa: PLC0415

    load_plugins(params.get("plugins", []))
    read_scenarios(parse(ProjectOptions, params, "").evaluation.scenarios)


def read_environment(name: str | None, conf_source: str | Path = "conf") -> Environment:
    """Read an environment.

    Args:
        name: a folder of the configuration; None for the default.
        conf_source: folder or archive of the configuration.

    Raises:
        ConfigurationError: there is no such configuration or environment.
    """
    if not Path(conf_source).exists() and "://" not in str(conf_source):
        raise ConfigurationError(f"{conf_source} does not exist: name the configuration with --conf-source.")
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # what OmegaConf will call otherwise
            loader = OmegaConfigLoader(conf_source=str(conf_source), env=name, **LOADER_ARGS)
            loader.config_patterns["mlflow"] = ["mlflow*"]
            check_environment(loader, name)
            names, store = loader["globals"], loader["mlflow"]["server"]["mlflow_tracking_uri"]
        return Environment(str(names["model_name"]), str(names["alias"]), Path(names["data"]), str(store))
    except (KeyError, MissingConfigException) as error:
        raise ConfigurationError(
            f"{conf_source} names no MLflow store: {error}. Compare conf/base/mlflow.yml."
        ) from None


def open_registry(name: str | None, conf_source: str | Path = "conf") -> Environment:
    """Read an environment, and let MLflow ask its store.

    Args:
        name: the environment; None for the default.
        conf_source: folder or archive of the configuration.

    Raises:
        BadInputError: nothing has been registered in that environment.
        ConfigurationError: there is no such environment.
    """
    import mlflow  # noqa: PLC0415  (only who asks the store waits for it)

    from tailor.registry.store import sqlite_file  # noqa: PLC0415

    env = read_environment(name, conf_source)
    file = sqlite_file(env.tracking_uri)
    if file is not None and not file.is_file():
        raise BadInputError(
            f"Nothing is registered: {file} does not exist. Run `kedro run{f' --env={name}' if name else ''}` first."
        )
    mlflow.set_tracking_uri(env.tracking_uri)
    return env


def of_server(name: str | None, conf_source: str | Path, arguments: list[str]) -> list[str]:
    """Return the arguments of the server with those that an environment implies; the store goes into MLflow's variable.

    Without the name of an environment a model is served as that of the environment whose ``model_name`` it is: its
    store and its state are those that pipelines of the environment read and write.

    Args:
        name: the environment; None for the default.
        conf_source: folder or archive of the configuration.
        arguments: as given; they win.

    Raises:
        BadInputError: nothing has been registered in that environment.
        ConfigurationError: there is no such environment.
    """
    asked = _value(arguments, "--model")
    env = open_registry(name or _environment_of(asked, conf_source), conf_source)
    implied = {"--model": env.model, "--alias": env.alias}
    given = {argument.partition("=")[0] for argument in arguments}
    model = asked or env.model
    implied["--items"] = str(env.data / "serving" / f"{model}.json")
    return [*arguments, *(word for key, value in implied.items() if key not in given for word in (key, value))]


def _environment_of(model: str, conf_source: str | Path) -> str | None:
    """Return the name of the environment whose model it is; None for the default, and where there is no such one."""
    if not model or read_environment(None, conf_source).model == model:
        return None
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        known = environments(OmegaConfigLoader(conf_source=str(conf_source), **LOADER_ARGS))
    return next((name for name in known if read_environment(name, conf_source).model == model), None)


def _value(arguments: list[str], option: str) -> str:
    for place, argument in enumerate(arguments):
        key, separator, value = argument.partition("=")
        if key == option:
            return value if separator else "".join(arguments[place + 1 : place + 2])
    return ""
