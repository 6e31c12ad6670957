"""What a function's code is: a hash of its module and of every module of Tailor that this one leads to."""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tailor.plugins import plugin_files

_ROOT = Path(__file__).resolve().parent
_PACKAGE = _ROOT.name


def source_hash(module: str) -> str:
    """Hash the source of a module of Tailor and of all that it imports, directly or not; other modules: their file.

    Imports inside functions count. So do names in strings: ``import_module(f"tailor.models.{name}")`` leads to all
    modules of the package, and the name of a file beside the module (a template) to that file. Comments count too.

    Args:
        module: its dotted name.

    Returns:
        16 hexadecimal digits; "unknown" for a module without a source file.
    """
    if module.partition(".")[0] != _PACKAGE:
        spec = find_spec(module)
        return files_hash([Path(spec.origin)]) if spec and spec.origin and Path(spec.origin).is_file() else "unknown"
    return files_hash(files_of(module))


@cache
def files_of(module: str) -> tuple[Path, ...]:
    """Return the source files that a module of Tailor depends on, sorted."""
    seen, left = {module}, [module]
    files: set[Path] = set()
    while left:
        path = _path(left.pop())
        if path is None:
            continue
        imported, named = _leads_to(path, path.stat().st_mtime_ns)
        files |= {path, *named}
        left += imported - seen
        seen |= imported
    return tuple(sorted(files))


@cache
def _hash(path: Path, modified_ns: int) -> str:  # noqa: ARG001  (a file that was changed is read again)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files_hash(paths: Iterable[Path]) -> str:
    """Hash files by content and by name: inside Tailor the path below it, so that the place of a clone is no matter."""
    names = {path: path.relative_to(_ROOT) if path.is_relative_to(_ROOT) else Path(path.name) for path in paths}
    lines = [f"{name.as_posix()}={_hash(path, path.stat().st_mtime_ns)}" for path, name in names.items()]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def package_hash() -> str:
    """Hash all modules of Tailor."""
    return files_hash(_ROOT.rglob("*.py"))


def plugins_hash(modules: Iterable[str]) -> str:
    """Hash the files of plug-ins, whole packages."""
    paths = plugin_files(modules)
    return files_hash(file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py"))))


def function_hash(function: Callable[..., object]) -> str:
    """Hash a function: its name and :func:`source_hash` of its module."""
    function = getattr(function, "func", function)  # of a functools.partial
    module, name = function.__module__, getattr(function, "__qualname__", type(function).__qualname__)
    return hashlib.sha256(f"{module}.{name}|{source_hash(module)}".encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    """Return the file of a module of Tailor, None if there is none."""
    place = _ROOT.joinpath(*module.split(".")[1:])
    candidates = [place / "__init__.py", place.with_suffix(".py")]
    return next((path for path in candidates if path.is_file() and module.partition(".")[0] == _PACKAGE), None)


@cache
def _leads_to(path: Path, modified_ns: int) -> tuple[set[str], set[Path]]:  # noqa: ARG001  (as in _hash)
    """Return the modules of Tailor that a file imports or names, and the files beside it that it names.

    Most modules are reached from every pipeline: each is parsed once.
    """
    modules: set[str] = set()
    files: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules |= set(_imported(node.module, [alias.name for alias in node.names]))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules |= set(_named(node.value))
            files |= _beside(path, node.value)
    return {module for module in modules if _path(module)}, files


def _imported(module: str, names: list[str]) -> Iterator[str]:
    inner = [f"{module}.{name}" for name in names]
    yield from (name for name in inner if _path(name))
    if any(_path(name) is None for name in inner):
        yield module


def _named(text: str) -> list[str]:
    """Return the modules that a string names: one, or for ``tailor.models.`` all of the package."""
    if not text.startswith(f"{_PACKAGE}.") or len(text.split()) != 1:
        return []
    if not text.endswith("."):
        return [text]
    return [f"{text}{path.stem}" for path in _ROOT.joinpath(*text.split(".")[1:-1]).glob("*.py")]


def _beside(path: Path, text: str) -> set[Path]:
    if not re.fullmatch(r"\w[\w-]{0,60}(\.\w{1,20}){1,3}", text):
        return set()
    file = path.with_name(text)
    return {file} if file.is_file() and file.suffix != ".py" else set()
