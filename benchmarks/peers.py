"""`make bench-peers ENV=…`: models of implicit, LensKit and RecTools beside Tailor's own, under one protocol.

Each library runs in an interpreter of its own and gets a folder of arrays (peers/exchange.py); its lists come back and
are measured here. Which models there are stands in peers/models.yml. Users are known ones, candidates warm items: what
every library can list. Options are chosen on validation by warm NDCG@20 (none of these models knows cold items, so the
pipeline's criterion has the same order), peers and own models alike, with all users in the fits. On test, fits are of
train rows, and histories hold the validation rows too; a library that scores a user as fitted cannot read these, so
there is a second figure with fits of train and validation rows.

Each model is written when it is done; what is there is not measured again unless its entry changed.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from catalogues import NAMES, RESULTS, ROOT, Catalogue, about, prepare, rounded, seconds_of, write
from pydantic import Field, ValidationError
from scipy import sparse

from tailor import columns as c
from tailor.config import Options
from tailor.data.interactions import bucket_items, final_rows, keep_items
from tailor.errors import BadInputError, ConfigurationError, TailorError, did_you_mean
from tailor.evaluation.measure import popularity_metadata
from tailor.metrics import Lists
from tailor.metrics.accuracy import hits, ndcg
from tailor.metrics.exposure import catalog_coverage
from tailor.models.base import Csr, Indices, Mask, Query, TrainSet
from tailor.models.listing import recommend
from tailor.models.registry import BASELINES, build, model_class

K, SEED, TRIALS = 20, 0, 4
OWN = ("item_knn", "implicit_als", "ease")
MODELS = ROOT / "benchmarks" / "peers" / "models.yml"
RESULT = RESULTS / "peers.json"
TARGETS = {
    "*_same_lists": ">= .99: share of places that hold the same item as those of Tailor's model of the same options",
    "*_same_ndcg_difference": "<= .001: of warm NDCG@20",
}
#: One thread each, whatever a library's own default is.
ONE_THREAD = {
    f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "RAYON", "LK", "NUMBA", "VECLIB_MAXIMUM")
}


@dataclass(frozen=True)
class Library:
    """A library with the interpreter that has it, and the script that runs its models there."""

    interpreter: Path
    runner: Path
    make: str
    """The target that builds the environment."""

    @classmethod
    def of(cls, environment: str, runner: str) -> "Library":
        """Return the library of an environment of this project."""
        python, script = ROOT / environment / "bin" / "python", ROOT / "benchmarks" / "peers" / f"{runner}_models.py"
        return cls(python, script, f"make {environment}/built")


LIBRARIES = {
    "implicit": Library.of(".venv-implicit", "implicit"),
    "lenskit": Library.of(".venv-lenskit", "lenskit"),
    "rectools": Library.of(".venv-peers", "rectools"),
    "rectools_torch": Library.of(".venv-rectools-torch", "rectools"),
}


class SameAs(Options):
    """A model of Tailor that makes the same lists."""

    model: str
    options: dict[str, Any]
    """Its own."""
    peer_options: dict[str, Any]
    """The peer's, under which that is so."""


class Peer(Options):
    """An entry of models.yml."""

    name: str = Field(pattern=r"^[a-z0-9_.]+$")
    library: str
    class_path: str = Field(pattern=r"^\w+(\.\w+)+$")
    options: list[dict[str, Any]] = Field(min_length=1, max_length=TRIALS)
    on_request: bool = False
    same_as: SameAs | None = None

    @property
    def digest(self) -> str:
        """What tells one version of the entry from another."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()[:12]


def read_peers(path: Path, libraries: Mapping[str, Library]) -> list[Peer]:
    """Read the entries of a file.

    Args:
        path: the YAML file.
        libraries: those there are, by name.

    Raises:
        ConfigurationError: names file, entry and key, and what would be right.
    """
    try:
        entries = yaml.safe_load(path.read_text())
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{path} is not YAML: {' '.join(str(exc).split())}.") from None
    if not isinstance(entries, list):
        raise ConfigurationError(f"{path} holds {type(entries).__name__}: write a list of entries, each with a name.")
    peers: list[Peer] = []
    for number, entry in enumerate(entries, start=1):
        peer = _entry(path, number, entry)
        _check(f"{path}, entry {number} ('{peer.name}')", peer, [other.name for other in peers], libraries)
        peers.append(peer)
    return peers


def _check(where: str, peer: Peer, earlier: Sequence[str], libraries: Mapping[str, Library]) -> None:
    """Refuse names that are taken, libraries and models that do not exist."""
    if peer.library not in libraries:
        hint = did_you_mean(peer.library, libraries)
        raise ConfigurationError(f"{where}: no library '{peer.library}'.{hint} Known: {', '.join(libraries)}.")
    if peer.name in earlier:
        raise ConfigurationError(f"{where}: another entry has this name; choose another one.")
    if peer.name in BASELINES:
        raise ConfigurationError(f"{where}: a model of Tailor is called so; write '{peer.library}.{peer.name}'.")
    if peer.same_as is not None:
        try:
            model_class(peer.same_as.model)
        except ConfigurationError as exc:
            raise ConfigurationError(f"{where}, same_as: {exc}") from None


def _entry(path: Path, number: int, entry: object) -> Peer:
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"{path}, entry {number}" + (f" ('{name}')" if name else "")
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{where} is {entry!r}: write name, library, class_path and options.")
    try:
        return Peer.model_validate(entry)
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_problem(where, error) for error in exc.errors())) from None


def _problem(where: str, error: Any) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        known = [*(SameAs if len(error["loc"]) > 1 else Peer).model_fields]
        return f"{where}: no key '{key}'.{did_you_mean(str(error['loc'][-1]), known)} Known here: {', '.join(known)}."
    if error["type"] == "missing":
        return f"{where}: '{key}' is missing."
    if error["loc"] == ("options",) and error["type"] == "too_long":
        given = error["ctx"]["actual_length"]
        return f"{where}: {given} option sets; at most {TRIALS}, as many as Tailor's own models have."
    return f"{where}: {key} = {error['input']!r}: {error['msg']}."


@dataclass(frozen=True)
class Side:
    """What models are asked on one side of the split, and what is counted there."""

    data: TrainSet
    """What is fitted on."""
    query: Query
    """Every user, with the history that lists are computed from."""
    seen: Csr
    """What lists leave out (U, n_items)."""
    users: Indices
    """Whom to list for (B,)."""
    candidates: Mask
    """Warm items (n_items,)."""
    positives: Csr
    """(U, n_items)."""
    tail: Mask
    """Tail items (n_items,)."""
    items: pd.DataFrame
    """The item table."""
    tie_rank: Indices
    """Of two equal scores the item with the lower one comes first (n_items,)."""
    seed: int


@dataclass(frozen=True)
class Answer:
    """Lists of one option set, and what they took."""

    lists: np.ndarray
    """Items (B, k), best first, -1 for an empty place."""
    fit_s: float
    lists_s: float


def validation_side(catalogue: Catalogue) -> Side:
    """Return the side that options are chosen on, with every user in the fits."""
    holdout = catalogue.holdout()
    holdout = holdout.with_few_shot_users(holdout.few_shot_users[:0])
    users = np.flatnonzero(np.diff(holdout.validation.indptr) > 0)
    nothing = np.zeros((len(catalogue.items), 0), np.float32)
    warm = holdout.candidates & ~holdout.cold
    return Side(
        holdout.train_set(nothing),
        holdout.histories,
        holdout.seen,
        users,
        warm,
        holdout.validation,
        holdout.tail,
        catalogue.items,
        catalogue.tie_rank,
        catalogue.seed,
    )


def test_side(catalogue: Catalogue, fit_on: str) -> Side:
    """Return the side of the test, with fits of ``fit_on``: train, or train_and_validation."""
    rules, items = catalogue.test_rules, catalogue.items
    rows = final_rows(catalogue.matrix(c.TRAIN), catalogue.matrix(c.VALIDATION), items, fit_on)
    data = catalogue.train_set(rows, catalogue.warm, np.zeros((len(items), 0), np.float32))
    users = np.flatnonzero(catalogue.users[c.BUCKET] != "new")
    positives = sparse.csr_matrix(catalogue.matrix(c.TEST) + catalogue.matrix(c.COLD))
    warm, tail = rules.candidates[c.WARM], bucket_items(items, c.TAIL)
    ties, seed = catalogue.tie_rank, catalogue.seed
    return Side(data, rules.histories, rules.seen, users, warm, positives, tail, items, ties, seed)


def measure(side: Side, lists: np.ndarray) -> dict[str, float]:
    """Return warm NDCG@20, that of tail items in the same lists, and coverage of the candidates."""
    values = {}
    for name, items in ((c.WARM, side.candidates), (c.TAIL, side.tail)):
        positives = keep_items(side.positives[side.users], items & side.candidates)
        values[f"{name}_ndcg"] = float(np.nanmean(ndcg(hits(lists, positives), np.diff(positives.indptr), K)))
    shown = Lists.build(lists, popularity_metadata(side.items), candidates=side.candidates)
    return values | {"coverage": catalog_coverage(shown)}


def by_own(name: str, side: Side, option_sets: Sequence[dict[str, Any]]) -> list[Answer]:
    """Fit a model of Tailor with each option set, and list."""
    query, seen, candidates = side.query.take(side.users), side.seen[side.users], {c.WARM: side.candidates}

    def one(options: dict[str, Any]) -> Answer:
        recipe = build(name, options, side.seed)
        fit_s, model = seconds_of(lambda: recipe.fit(side.data))
        lists_s, lists = seconds_of(lambda: recommend(model, query, seen, candidates, K, side.tie_rank))
        filled = np.full((len(side.users), K), -1, np.int64)
        filled[:, : lists[c.WARM][0].shape[1]] = lists[c.WARM][0]
        return Answer(filled, fit_s, lists_s)

    return [one(options) for options in option_sets]


def by_peer(
    peer: Peer, library: Library, side: Side, option_sets: Sequence[dict[str, Any]]
) -> tuple[list[Answer], str]:
    """Let a peer's interpreter fit each option set and list; return the answers and the library's version.

    Raises:
        ConfigurationError: the environment is not built, or the entry asks for what the library does not have.
        BadInputError: a list breaks the rules of the side.
    """
    if not library.interpreter.is_file():
        raise ConfigurationError(f"Peer '{peer.name}' needs {library.interpreter}: run `{library.make}`.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_task(folder, side, peer.class_path, option_sets)
        command = [str(library.interpreter), str(library.runner), str(folder)]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | ONE_THREAD
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if run.returncode or not (folder / "done.json").is_file():
            raise ConfigurationError(_failure(peer, folder, run.stderr))
        done = json.loads((folder / "done.json").read_text())
        lists = [read_lists(folder / f"lists_{i}.npz", side, peer.name) for i in range(len(option_sets))]
    took = [(seconds["fit"], seconds["lists"]) for seconds in done["seconds"]]
    return [Answer(made, *seconds) for made, seconds in zip(lists, took, strict=True)], done["version"]


def _failure(peer: Peer, folder: Path, stderr: str) -> str:
    """Say in one sentence what a peer could not do."""
    where, path = f"Peer '{peer.name}' of {MODELS.name}", folder / "error.json"
    if not path.is_file():
        last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"{where}: its interpreter stopped: {last}"
    error = json.loads(path.read_text())
    if error["field"] == "class_path":
        return f"{where}: class_path '{peer.class_path}' cannot be imported: {error['message'].rstrip('.')}."
    what = "does not take" if error["field"] == "options" else "fails with"
    return f"{where}: {peer.class_path} {what} options {json.dumps(error['options'])}: {error['message'].rstrip('.')}."


def write_task(folder: Path, side: Side, class_path: str, option_sets: Sequence[dict[str, Any]]) -> None:
    """Write what a peer's interpreter reads (peers/exchange.py)."""
    n_users, n_items = side.data.interactions.shape
    task = {"class_path": class_path, "option_sets": list(option_sets), "seed": side.seed, "k": K}
    (folder / "task.json").write_text(json.dumps(task | {"n_users": n_users, "n_items": n_items}))
    np.savez(folder / "rows.npz", **_cells(side.data.interactions, side.data.order))  # type: ignore[arg-type]
    np.savez(folder / "histories.npz", **_cells(side.query.history, side.query.order))  # type: ignore[arg-type]
    np.savez(folder / "seen.npz", **_cells(side.seen, None))  # type: ignore[arg-type]
    asked = {"user": side.users, "tie_rank": side.tie_rank, f"candidates_{c.WARM}": side.candidates}
    np.savez(folder / "asked.npz", **asked)  # type: ignore[arg-type]


def _cells(matrix: Csr, order: Csr | None) -> dict[str, np.ndarray]:
    """Return the stored cells as user, item and place in the user's order, 0 where it is not known."""
    user = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    item = matrix.indices.astype(np.int64)
    place = np.zeros(len(item), np.int64) if order is None else _values(order, user, item).astype(np.int64)
    return {"user": user, "item": item, "place": place}


def _values(matrix: Csr, rows: Indices, columns: Indices) -> np.ndarray:
    """Return the values of some cells (n,); scipy returns another shape where there is none."""
    return np.asarray(matrix[rows, columns]).ravel() if len(rows) else np.zeros(0)


def read_lists(path: Path, side: Side, peer: str) -> np.ndarray:
    """Read a peer's lists (B, k); an empty place is -1.

    Raises:
        BadInputError: an item is no candidate, was seen or stands there twice, or a user was not asked for.
    """
    with np.load(path, allow_pickle=False) as file:
        user, item, rank = (file[f"{c.WARM}_{column}"].astype(np.int64) for column in ("user", "item", "rank"))
    n_users, n_items = side.seen.shape
    user_row, item_row = np.clip(user, 0, n_users - 1), np.clip(item, 0, n_items - 1)
    wrong = {
        "a user who was not asked for": ~np.isin(user, side.users),
        "an item that is no candidate": (item != item_row) | ~side.candidates[item_row],
        "an item that the user has seen": _values(side.seen, user_row, item_row) != 0,
        f"a rank outside 1 to {K}": (rank < 1) | (rank > K),
        "an item twice for one user": pd.DataFrame({"user": user, "item": item}).duplicated().to_numpy(),
        "two items at one rank": pd.DataFrame({"user": user, "rank": rank}).duplicated().to_numpy(),
    }
    for what, found in wrong.items():
        if found.any():
            first = np.flatnonzero(found)[0]
            raise BadInputError(
                f"Peer '{peer}' lists {what}, {int(found.sum())} times; first: user {user[first]}, item {item[first]}, "
                f"rank {rank[first]} (users and items are rows of the project's tables)."
            )
    lists = np.full((len(side.users), K), -1, np.int64)
    lists[np.searchsorted(side.users, user), rank - 1] = item
    return lists


Ask = Callable[[Side, Sequence[dict[str, Any]]], list[Answer]]


def choose_and_test(ask: Ask, option_sets: Sequence[dict[str, Any]], sides: Mapping[str, Side]) -> dict[str, Any]:
    """Choose an option set on validation, and measure it on test with both fits."""
    tried = [
        measure(sides[c.VALIDATION], answer.lists)["warm_ndcg"] for answer in ask(sides[c.VALIDATION], option_sets)
    ]
    chosen = option_sets[int(np.argmax(tried))]
    (answer,) = ask(sides[c.TRAIN], [chosen])
    (later,) = ask(sides[c.TRAIN_AND_VALIDATION], [chosen])
    figures = measure(sides[c.TRAIN], answer.lists) | {"fit_s": answer.fit_s, "lists_s": answer.lists_s}
    figures["warm_ndcg_fit_on_all"] = measure(sides[c.TRAIN_AND_VALIDATION], later.lists)["warm_ndcg"]
    return {"figures": rounded(figures), "chosen": chosen, "validation_warm_ndcg": [round(value, 4) for value in tried]}


def agreement(peer: Peer, ask: Ask, side: Side) -> dict[str, float]:
    """Compare a peer's lists with those of Tailor's model of the same options."""
    same = peer.same_as
    if same is None:
        return {}
    (theirs,), (ours,) = ask(side, [same.peer_options]), by_own(same.model, side, [same.options])
    difference = abs(measure(side, theirs.lists)["warm_ndcg"] - measure(side, ours.lists)["warm_ndcg"])
    filled = (theirs.lists >= 0) | (ours.lists >= 0)
    return {"same_lists": float((theirs.lists == ours.lists)[filled].mean()), "same_ndcg_difference": difference}


def one_peer(peer: Peer, sides: Mapping[str, Side]) -> dict[str, Any]:
    """Measure a peer; return its figures, what was chosen, and which library this was."""
    versions = set[str]()

    def ask(side: Side, option_sets: Sequence[dict[str, Any]]) -> list[Answer]:
        answers, version = by_peer(peer, LIBRARIES[peer.library], side, option_sets)
        versions.add(version)
        return answers

    made = choose_and_test(ask, peer.options, sides)
    made["figures"] |= rounded(agreement(peer, ask, sides[c.TRAIN]), 6)
    return {"library": f"{peer.library} {', '.join(sorted(versions))}", "entry": peer.digest} | made


def one_own(name: str, catalogue: Catalogue, sides: Mapping[str, Side]) -> dict[str, Any]:
    """Measure a model of Tailor with the option sets of the environment."""
    option_sets = catalogue.hybrid_options.trials.get(name) or [{}]
    return {"library": "tailor"} | choose_and_test(lambda side, sets: by_own(name, side, sets), option_sets, sides)


def chosen_peers(peers: Sequence[Peer], names: Sequence[str]) -> list[Peer]:
    """Return the peers that are named, or all that are not on request.

    Raises:
        ConfigurationError: there is none of a name.
    """
    by_name = {peer.name: peer for peer in peers}
    for name in names:
        if name not in by_name:
            hint = did_you_mean(name, by_name)
            raise ConfigurationError(f"ONLY names '{name}', which is no peer.{hint} Known: {', '.join(by_name)}.")
    return [by_name[name] for name in names] or [peer for peer in peers if not peer.on_request]


def headline(results: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Put the figures of all catalogues and models into one mapping."""
    return {
        f"{catalogue}_{model}_{figure}": value
        for catalogue, models in results.items()
        for model, made in models.items()
        for figure, value in made["figures"].items()
    }


def measure_all(env: str, peers: Sequence[Peer]) -> None:
    """Measure Tailor's own models and the peers that are not done; each is written when it is done."""
    results = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else {}
    done = results.setdefault(NAMES.get(env, env), {})
    left = [peer for peer in peers if done.get(peer.name, {}).get("entry") != peer.digest]
    own = [name for name in OWN if name not in done]
    if not left and not own:
        return
    catalogue = prepare(env, SEED)
    sides = {c.VALIDATION: validation_side(catalogue)}
    sides |= {fit_on: test_side(catalogue, fit_on) for fit_on in (c.TRAIN, c.TRAIN_AND_VALIDATION)}
    for model in (*own, *left):
        name = model if isinstance(model, str) else model.name
        done[name] = one_own(model, catalogue, sides) if isinstance(model, str) else one_peer(model, sides)
        report = {"headline": headline(results), "targets": TARGETS, "size": {"k": K}, "results": results}
        write(RESULT, report | about("make bench-peers", [SEED]))
        print(name, json.dumps(done[name]), flush=True)


def main() -> None:
    """Measure the environment, and of its peers those named, on the command line."""
    env, *names = sys.argv[1:] or ["base"]
    try:
        measure_all(env, chosen_peers(read_peers(MODELS, LIBRARIES), names))
    except TailorError as exc:
        raise SystemExit(str(exc)) from None


if __name__ == "__main__":
    main()
