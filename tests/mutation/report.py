"""Write what became of the mutants: a table by module, and the diff of each survivor."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

from tests.mutation.mirror import tests_of
from tests.mutation.sites import Mutant

KILLED_AT_LEAST = 0.85


@dataclass
class Count:
    """Mutants of a module or package."""

    tested: int = 0
    killed: int = 0
    by_time: int = 0

    def add(self, result: WorkResult) -> None:
        """Count one more."""
        self.tested += 1
        self.killed += result.is_killed
        self.by_time += (result.output or "").endswith("\ntimeout")

    @property
    def share(self) -> float:
        """Share of the tested mutants that were killed."""
        return self.killed / self.tested if self.tested else 0.0


@dataclass(frozen=True)
class Report:
    """The table of packages, and the share over all of them."""

    table: str
    killed_share: float


def write_report(path: Path, mutants: list[Mutant], results: dict[str, WorkResult]) -> Report:
    """Write the report of a session as Markdown, and return its table of packages."""
    modules: dict[str, Count] = defaultdict(Count)
    packages: dict[str, Count] = defaultdict(Count)
    survivors: list[str] = []
    for number, mutant in enumerate(mutants):
        result = results.get(f"{number:04d}")
        if result is None:
            continue
        if result.worker_outcome is not WorkerOutcome.NORMAL:
            raise RuntimeError(f"{mutant.module}: the mutant could not be tested.\n{result.output}")
        for count in (modules[mutant.module.removeprefix("src/tailor/")], packages[mutant.package], packages["all"]):
            count.add(result)
        if result.test_outcome is TestOutcome.SURVIVED:
            survivors.append(_survivor(mutant, result))
    packages["all"] = packages.pop("all", Count())
    table = _table(packages)
    path.write_text("\n\n".join(["# Mutants", table, _table(dict(sorted(modules.items()))), "# Survivors", *survivors]))
    return Report(table, packages["all"].share)


def _table(counts: dict[str, Count]) -> str:
    rows = [
        f"| {name:32s} | {count.tested:6d} | {count.killed:6d} | {count.by_time:7d} | {count.share:6.1%} |"
        for name, count in counts.items()
    ]
    head = f"| {'':32s} | tested | killed | by time |  share |\n|{'-' * 34}|-------:|-------:|--------:|-------:|"
    return "\n".join([head, *rows])


def _survivor(mutant: Mutant, result: WorkResult) -> str:
    where = f"{mutant.module}:{mutant.mutation.start_pos[0]} {mutant.mutation.operator_name.removeprefix('core/')}"
    return f"## {where}\n\nTests: {', '.join(tests_of(mutant.module))}\n\n```diff\n{result.diff}\n```"
