"""Say which unit tests mirror a module: src/tailor/hybrid/blend.py has tests/unit/hybrid/test_blend.py.

A second file may stand beside it (test_blend_more.py). Where one file covers several modules, mirror.toml names it.
"""

import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("serving", "hybrid", "data")
FOLDER = Path("tests/mutation")


@cache
def modules() -> tuple[str, ...]:
    """List the modules with code of the mutated packages, as paths from the root."""
    files = (path for package in PACKAGES for path in sorted((ROOT / "src/tailor" / package).rglob("*.py")))
    return tuple(path.relative_to(ROOT).as_posix() for path in files if path.name != "__init__.py")


@cache
def exceptions() -> dict[str, list[str]]:
    """Read which files test a module that has none of its own name."""
    return dict(tomllib.loads((ROOT / FOLDER / "mirror.toml").read_text())["tests"])


def tests_of(module: str) -> tuple[str, ...]:
    """Return the test files of a module, as paths from the root.

    >>> tests_of("src/tailor/data/text.py")
    ('tests/unit/data/test_text.py',)
    """
    package, name = Path(module).parent.relative_to("src/tailor").as_posix(), Path(module).stem
    mirrored = [f"tests/unit/{package}/test_{name}{suffix}.py" for suffix in ("", "_more")]
    named = exceptions().get(module.removeprefix("src/tailor/"), [])
    return tuple(dict.fromkeys(path for path in (*mirrored, *named) if (ROOT / path).exists()))


def problems(among: Collection[str]) -> list[str]:
    """Say what is wrong: a module without tests among some, a line of mirror.toml that names nothing."""
    missing = [f"{module} has no unit tests: add the file that mirrors it" for module in among if not tests_of(module)]
    known = {module.removeprefix("src/tailor/") for module in modules()}
    where = f"{', '.join(PACKAGES[:-1])} or {PACKAGES[-1]}"
    unknown = [f"mirror.toml: {module} is no module of {where}" for module in exceptions() if module not in known]
    lines = [(module, path) for module, paths in exceptions().items() for path in paths]
    return (
        missing
        + unknown
        + [f"mirror.toml: {module}: no file {path}" for module, path in lines if not (ROOT / path).exists()]
    )
