"""`make mutants SEED=0 N=150`: does a unit test fail when the code that it mirrors is changed?

Two workers, each in a copy of the project under .mutants/, apply one mutant at a time and run the unit tests that
mirror its module. A session can be stopped and goes on where it was; a survivor is tried again once its tests have
changed. Ends with 1 where fewer than 85 % are killed.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from pathlib import Path

from attrs import evolve
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult

from tests.mutation import equivalents, mirror, sites
from tests.mutation.mirror import ROOT
from tests.mutation.report import KILLED_AT_LEAST, write_report

HOME = ROOT / ".mutants"
#: A mutant may take so many times what the unmutated code takes with the same tests.
TIME_FACTOR = 4.0
QUIET = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
#: Hypothesis draws the same examples each time, and keeps none, where it takes a run for one of CI.
FIXED = {"PYTHONHASHSEED": "0", "CI": "true", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
UNFINISHED = 2


def main() -> int:
    """Draw, test, report."""
    options = _arguments()
    modules = [module for module in mirror.modules() if options.only in module]
    problems = mirror.problems(modules) + equivalents.stale()
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return UNFINISHED
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    mutants = sites.draw(modules, HOME, options.n, options.seed)
    name = f"seed-{options.seed}-{digest(str((m.mutation, m.before, m.after)) for m in mutants)[:8]}"
    report_at = HOME / f"seed-{options.seed}{'-' + options.only.replace('/', '-') if options.only else ''}.md"
    with use_db(HOME / f"{name}.sqlite", WorkDB.Mode.create) as database:
        if not database.num_work_items:
            database.add_work_items(sites.work_items(mutants))
        finished = Session(database, options).run()
        report = write_report(report_at, mutants, dict(database.results))
    print(report.table)
    print(f"Survivors: {report_at.relative_to(ROOT)}")
    if not finished:
        print("Not finished: the same command goes on from here.")
        return UNFINISHED
    return int(report.killed_share < KILLED_AT_LEAST)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=str(ROOT / ".venv/bin/python"), help="interpreter that has the project")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n", type=int, default=150, help="mutants")
    parser.add_argument("--only", default="", help="modules whose path contains this, as serving or hybrid/blend.py")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long, to go on later")
    return parser.parse_args()


def digest(texts: object) -> str:
    """Return a hash of texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()  # type: ignore[call-overload]


class Session:
    """What is left of a session, and the workers that do it."""

    def __init__(self, database: WorkDB, options: argparse.Namespace) -> None:
        self.database = database
        self.options = options
        self.deadline = time.monotonic() + options.minutes * 60
        self.queue = multiprocessing.Queue()

    def pending(self) -> list[WorkItem]:
        """Return mutants without a result, and survivors of tests that have changed since."""
        done = dict(self.database.results)

        def is_done(item: WorkItem) -> bool:
            result = done.get(item.job_id)
            if result is None:
                return False
            return result.is_killed or (result.output or "").startswith(_tests_digest(_tests(item)))

        return [item for item in sorted(self.database.work_items, key=lambda item: item.job_id) if not is_done(item)]

    def run(self) -> bool:
        """Test what is pending; say whether everything was."""
        pending = self.pending()
        if not pending:
            return True
        for number in range(self.options.workers):
            self.queue.put(str(lay_copy(number, self.options.python)))
        with ProcessPoolExecutor(self.options.workers, initializer=enter_copy, initargs=(self.queue,)) as workers:
            limits = self._time_limits(workers, pending)
            return self._test(workers, pending, limits)

    def command(self, tests: tuple[str, ...]) -> str:
        """Return the command that runs test files until one fails."""
        return shlex.join([self.options.python, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests])

    def _time_limits(self, workers: ProcessPoolExecutor, pending: list[WorkItem]) -> dict[tuple[str, ...], float]:
        """Time the tests on unmutated code, which must pass; kept until the tests change."""
        kept_in = HOME / "times.json"
        kept = json.loads(kept_in.read_text()) if kept_in.exists() else {}
        files = {_tests(item): _tests_digest(_tests(item)) for item in pending}
        new = {tests: key for tests, key in files.items() if key not in kept}
        commands, failures = [self.command(tests) for tests in new], []
        for (tests, key), (outcome, seconds, output) in zip(new.items(), workers.map(timed, commands), strict=True):
            print(f"unmutated  {seconds:6.1f} s  {' '.join(tests)}", flush=True)
            if outcome is TestOutcome.SURVIVED:
                kept[key] = seconds
                kept_in.write_text(json.dumps(kept))
            else:
                failures.append(f"{', '.join(tests)}: the tests fail on unmutated code.\n{output[-2000:]}")
        if failures:
            print(*failures, sep="\n", file=sys.stderr)
            raise SystemExit(UNFINISHED)
        return {tests: TIME_FACTOR * kept[key] for tests, key in files.items()}

    def _test(
        self, workers: ProcessPoolExecutor, pending: list[WorkItem], limits: dict[tuple[str, ...], float]
    ) -> bool:
        """Hand out one mutant after the other until all are tested or time is up."""
        running: dict[Future[tuple[WorkResult, float]], WorkItem] = {}
        left, total = list(reversed(pending)), self.database.num_work_items
        while running or (left and time.monotonic() < self.deadline):
            while left and len(running) < self.options.workers and time.monotonic() < self.deadline:
                item = left.pop()
                running[workers.submit(test, item, self.command(_tests(item)), limits[_tests(item)])] = item
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                item = running.pop(future)
                result, seconds = future.result()
                self.database.set_result(
                    item.job_id, evolve(result, output=f"{_tests_digest(_tests(item))}\n{result.output}")
                )
                mutation = item.mutations[0]
                where = f"{mutation.module_path.as_posix().removeprefix('src/tailor/')}:{mutation.start_pos[0]}"
                count = total - len(left) - len(running)
                print(f"[{count:3d}/{total}] {result.test_outcome.value:9s} {seconds:6.1f} s  {where}", flush=True)
        return not left


def _tests(item: WorkItem) -> tuple[str, ...]:
    return mirror.tests_of(item.mutations[0].module_path.as_posix())


@cache
def _tests_digest(tests: tuple[str, ...]) -> str:
    """Return a hash of tests and of what they share, as they are when the session starts."""
    shared = [*(ROOT / "tests").glob("*.py"), *(ROOT / "tests/unit").rglob("conftest.py")]
    return digest(path.read_text() for path in [*(ROOT / path for path in tests), *sorted(shared)])[:16]


def lay_copy(number: int, python: str) -> Path:
    """Copy the project's files for one worker; byte code is checked by content, not by time."""
    folder = HOME / f"worker-{number}"
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    checked = ["-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "src", "tests"]
    subprocess.run([python, *checked], cwd=folder, check=True)
    return folder


def enter_copy(queue: "multiprocessing.Queue[str]") -> None:
    """Make this process a worker in a copy of its own."""
    folder = queue.get()
    os.chdir(folder)
    os.environ |= QUIET | FIXED | {"PYTHONPATH": f"{folder}/src{os.pathsep}{folder}"}


def timed(command: str) -> tuple[TestOutcome, float, str]:
    """Run tests on unmutated code."""
    start = time.monotonic()
    outcome, output = run_tests(command, timeout=None)
    return outcome, time.monotonic() - start, output


def test(item: WorkItem, command: str, limit: float) -> tuple[WorkResult, float]:
    """Apply a mutant, run the tests, and put the code back."""
    start = time.monotonic()
    result = mutate_and_test(item.mutations, command, limit)
    return result, time.monotonic() - start


if __name__ == "__main__":
    sys.exit(main())
