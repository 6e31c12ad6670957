"""Modules of your own that define sources, models, metrics or re-rankers: importing one makes its names known."""

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path

from tailor.errors import ConfigurationError


def load_plugins(modules: Iterable[str]) -> list[str]:
    """Import modules by name; return the names.

    Raises:
        ConfigurationError: there is no such module, or it cannot be imported.

    Example:
        >>> load_plugins(["math"])
        ['math']
    """
    names = list(modules)
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as problem:
            raise ConfigurationError(
                f"plugins names '{name}', but there is no module '{problem.name}'. Put it on the Python path (src/ of "
                "the project is on it), or take it out of the list."
            ) from None
    return names


def plugin_files(modules: Iterable[str]) -> list[Path]:
    """Return the file or folder of each module's top-level package: what must travel with a model that uses it.

    Raises:
        ConfigurationError: a module has no file.
    """
    files: dict[str, Path] = {}
    for name in modules:
        top = name.partition(".")[0]
        module = sys.modules.get(top) or importlib.import_module(top)
        if module.__file__ is None:
            raise ConfigurationError(f"plugins names '{name}', whose package has no __init__.py: it cannot be packaged")
        file = Path(module.__file__).resolve()
        files[top] = file.parent if file.name == "__init__.py" else file
    return list(files.values())
