"""Draw mutants: places in the code first, then one change for each place.

Cosmic Ray makes the changes. A place with ten possible changes is as likely as one with a single change, and changes
that any import would notice are left out (a type error, a syntax error, operators of type hints).
"""

import ast
import difflib
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, WorkItem

from tests.mutation.equivalents import known, matches_pattern, stripped
from tests.mutation.mirror import ROOT

ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}
BITWISE = {"BitOr", "BitAnd", "BitXor"}
UNARY = {"USub_UAdd", "Delete_Invert", "Delete_Not"}
#: Where Cosmic Ray's name of an operator is not Python's.
NAMES = {"Mult": "Mul"}
Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    mutation: MutationSpec
    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def module(self) -> str:
        """Path of the module from the root."""
        return self.mutation.module_path.as_posix()

    @property
    def package(self) -> str:
        """Package of the module."""
        return self.mutation.module_path.parent.name


def draw(modules: list[str], folder: Path, n_mutants: int, seed: int) -> list[Mutant]:
    """Draw `n_mutants` mutants, from each package as many as its share of all places, in random order.

    Equivalent mutants are passed over: the next place of the package comes instead.
    """
    generator = random.Random(seed)  # noqa: S311
    packages: dict[str, list[list[MutationSpec]]] = defaultdict(list)
    for site in sites(modules, folder):
        packages[site[0].module_path.parent.name].append(site)
    total = sum(map(len, packages.values()))
    drawn: list[Mutant] = []
    for package in sorted(packages):
        generator.shuffle(packages[package])
        candidates = _mutants(packages[package], generator)
        share = -(-n_mutants * len(packages[package]) // total)
        drawn += [mutant for mutant, _ in zip(candidates, range(share), strict=False)]
    generator.shuffle(drawn)
    return drawn


def sites(modules: list[str], folder: Path) -> list[list[MutationSpec]]:
    """Return every place of the modules with the changes that Cosmic Ray can make there."""
    session = folder / "all.sqlite"
    with use_db(session, WorkDB.Mode.create) as database:
        init([Path(module) for module in modules], database, {})
        specs = [item.mutations[0] for item in database.work_items]
    session.unlink()
    places: dict[tuple[Path, Position, Position], list[MutationSpec]] = defaultdict(list)
    sources = {module: (ROOT / module).read_text() for module in modules}
    calculations = {module: _calculations(source) for module, source in sources.items()}
    for spec in sorted(specs, key=lambda spec: (spec.module_path, spec.start_pos, spec.operator_name, spec.occurrence)):
        module, (line, column) = spec.module_path.as_posix(), spec.end_pos
        listed = matches_pattern(sources[module].splitlines()[line - 1][:column])
        if not listed and _meaningful(spec, calculations[module]):
            places[spec.module_path, spec.start_pos, spec.end_pos].append(spec)
    return list(places.values())


def _mutants(places: list[list[MutationSpec]], generator: random.Random) -> Iterator[Mutant]:
    """Choose a change for each place; those that are listed as equivalent, or no Python, are passed over."""
    for place in places:
        spec = generator.choice(place)
        before, after = change(spec)
        if after and (spec.module_path.as_posix(), before, after) not in known():
            yield Mutant(spec, before, after)


def change(spec: MutationSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines that a mutation takes out and puts in; no lines where the result is no Python."""
    source = (ROOT / spec.module_path).read_text()
    mutated = mutate_code(source, get_operator(spec.operator_name)(), spec.occurrence)
    try:
        if ast.dump(ast.parse(mutated)) == ast.dump(ast.parse(source)):
            return (), ()
    except SyntaxError:
        return (), ()
    lines = list(difflib.ndiff(source.splitlines(), mutated.splitlines()))
    removed, added = ("\n".join(line[2:] for line in lines if line.startswith(mark)) for mark in ("- ", "+ "))
    return stripped(removed), stripped(added) or ("(removed)",)


def work_items(mutants: list[Mutant]) -> list[WorkItem]:
    """Number the mutants for a session of Cosmic Ray."""
    return [WorkItem.single(f"{number:04d}", mutant.mutation) for number, mutant in enumerate(mutants)]


def _meaningful(spec: MutationSpec, calculations: list[tuple[str, Position, Position]]) -> bool:
    """Say whether a mutation keeps the kind of an operator, and is one of a calculation."""
    kind, _, change = spec.operator_name.removeprefix("core/").partition("_")
    old, _, new = change.partition("_")
    if kind == "ReplaceBinaryOperator":
        same_kind = {old, new} <= ARITHMETIC or {old, new} <= BITWISE
        gaps = [gap for operator, *gap in calculations if operator == old]
        return same_kind and any(left <= spec.start_pos and spec.end_pos <= right for left, right in gaps)
    if kind == "ReplaceComparisonOperator":
        return ("Is" in old) == ("Is" in new)
    return kind != "ReplaceUnaryOperator" or change in UNARY


def _calculations(source: str) -> list[tuple[str, Position, Position]]:
    """Return each binary operator that is no part of a type, with the gap between its operands where it stands."""
    lines, tree = source.splitlines(), ast.parse(source)
    hints: set[ast.AST] = set()
    in_functions: set[ast.AST] = set()
    for node in ast.walk(tree):
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            hints |= set(ast.walk(hint)) if hint else set()
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            in_functions |= set(ast.walk(node))

    def position(line: int | None, byte: int | None) -> Position:
        text = lines[(line or 1) - 1].encode()[: byte or 0]
        return line or 1, len(text.decode())

    return [
        (
            NAMES.get(type(node.op).__name__, type(node.op).__name__),
            position(node.left.end_lineno, node.left.end_col_offset),
            position(node.right.lineno, node.right.col_offset),
        )
        for node in ast.walk(tree)
        # Outside functions `A | B` is a type.
        if isinstance(node, ast.BinOp)
        and node not in hints
        and (node in in_functions or type(node.op) is not ast.BitOr)
    ]
