"""Modules of your own that define sources, models, metrics or re-rankers: importing one makes its names known."""

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tailor.errors import ConfigurationError


def load_plugins(modules: Iterable[str], copies: Path | None = None) -> list[str]:
    """Import modules by name; return the names.

    Args:
        modules: names.
        copies: a folder with copies, as of :func:`copy_plugins`, for modules that are not on the Python path.

    Raises:
        ConfigurationError: there is no such module, or it cannot be imported.

    Example:
        >>> load_plugins(["math"])
        ['math']
    """
    names = list(modules)
    if copies is not None and not all(importlib.util.find_spec(_top(name)) for name in names):
        sys.path.append(str(copies))
        importlib.invalidate_caches()
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as problem:
            raise ConfigurationError(
                f"plugins names '{name}', but there is no module '{problem.name}'. Put it on the Python path (src/ of "
                "the project is on it), or take it out of the list."
            ) from None
    return names


def _top(module: str) -> str:
    return module.partition(".")[0]


def plugin_files(modules: Iterable[str]) -> list[Path]:
    """Return the file or folder of each module's top-level package: what must travel with a model that uses it.

    Raises:
        ConfigurationError: a module has no file.
    """
    files: dict[str, Path] = {}
    for name in modules:
        top = _top(name)
        if top == _top(__name__):
            continue  # part of the project's package, which is where the model is served
        module = sys.modules.get(top) or importlib.import_module(top)
        if getattr(module, "__file__", None) is None:
            raise ConfigurationError(f"plugins names '{name}', whose package has no __init__.py: it cannot be packaged")
        file = Path(str(module.__file__)).resolve()
        files[top] = file.parent if file.name == "__init__.py" else file
    return list(files.values())


def copy_plugins(modules: Iterable[str], folder: Path) -> None:
    """Copy each module's top-level package into a folder, which is made if there is any; caches stay behind.

    Raises:
        ConfigurationError: a module has no file.
    """
    for source in plugin_files(modules):
        folder.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / source.name)
