"""`make bench-open-bandit`: do off-policy intervals hold what another policy really earned?

Open Bandit (Saito, Aihara, Matsutani & Narita 2021): in three campaigns of a fashion shop two policies, even draws and
Bernoulli Thompson sampling, ran side by side in the same week and logged their propensities. Of each log, 10,000 rows
are in the source distribution of obp 0.5.7, which is read as a file, checked against its hash, and never installed. So
the click rate of either policy is estimated from the log of the other, and known from its own.

Thompson sampling changed while it ran. Its chance for an item at a position is, at a time, that of its own log's
latest row with both before that time, else of the first one after; items that it never showed there share what is left.

A rate of 10,000 rows has an error too. ``holds``: the difference of estimate and rate is smaller than 1.96 times the
root of the sum of both variances. ``interval_holds``: the estimate's own interval has the rate in it.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from catalogues import RESULTS, ROOT, about, rounded, write
from numpy.typing import NDArray
from scipy.stats import norm

from tailor.evaluation.off_policy import PolicyValue, doubly_robust, ips, snips
from tailor.files import write_aside

REQUIREMENT = "obp==0.5.7"
SHA256 = "3060d67fedfcfadf1e7a6f2608987f74412b5eb74d2c567edeb147595c68f2a0"
CACHE = ROOT / "data/01_raw/open_bandit/obp-0.5.7.tar.gz"
CAMPAIGNS = ("all", "men", "women")
#: Directions: whose log is read, whose value is estimated.
POLICIES = {"bts": "random", "random": "bts"}
RESULT = RESULTS / "open_bandit.json"
TARGETS = {"holds": "18 of 18: the estimate and the other log's own click rate agree, in each campaign and direction"}
#: Clicks of everybody that are added to those of an item and position (empirical Bayes), in rows.
SMOOTHING = 200.0
Floats = NDArray[np.float64]


def archive() -> bytes:
    """Return the source distribution, fetched once by pip, which checks its hash before it opens it."""
    if not CACHE.exists():
        with tempfile.TemporaryDirectory() as folder:
            pinned = Path(folder) / "requirements.txt"
            pinned.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=obp"]
            command += ["--ignore-requires-python", "--require-hashes", "--dest", folder, "-r", str(pinned)]
            subprocess.run(command, check=True)
            CACHE.parent.mkdir(parents=True, exist_ok=True)
            with write_aside(CACHE) as aside:
                aside.write_bytes(next(Path(folder).glob("*.tar.gz")).read_bytes())
    content = CACHE.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{CACHE} is not the pinned {REQUIREMENT}: delete it, and it is fetched again.")
    return content


def read_log(content: bytes, policy: str, campaign: str) -> pd.DataFrame:
    """Return timestamp, item, position (0-based), click and propensity of one log (10,000 rows), in order of time."""
    name = f"obp-0.5.7/obp/dataset/obd/{policy}/{campaign}/{campaign}.csv"
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        columns = ["timestamp", "item_id", "position", "click", "propensity_score"]
        table = pd.read_csv(io.BytesIO(tar.extractfile(name).read()), usecols=columns)  # type: ignore[union-attr]
    table["timestamp"] = pd.to_datetime(table["timestamp"], format="ISO8601").astype("int64")
    table["position"] = table["position"].rank(method="dense").astype(int) - 1
    renamed = table.rename(columns={"item_id": "item", "propensity_score": "propensity"})
    return renamed.sort_values("timestamp", kind="stable").reset_index(drop=True)


def chances(log: pd.DataFrame, when: NDArray[np.int64], position: NDArray[np.int64], n_items: int) -> Floats:
    """Return how likely the log's policy was to show each item at a time and position (n, n_items); rows sum to 1."""
    seen = np.zeros((len(when), n_items))
    for (item, place), rows in log.groupby(["item", "position"]):
        at_place = np.flatnonzero(position == place)
        index = np.searchsorted(rows["timestamp"].to_numpy(), when[at_place], side="right") - 1
        seen[at_place, item] = rows["propensity"].to_numpy()[np.maximum(index, 0)]
    missing = seen == 0
    left = np.maximum(1 - seen.sum(axis=1, keepdims=True), 0.0)
    seen += missing * left / np.maximum(missing.sum(axis=1, keepdims=True), 1)
    return np.asarray(seen / seen.sum(axis=1, keepdims=True))


def reward_model(log: pd.DataFrame, n_items: int) -> Floats:
    """Return clicks by item and position (n_items, 3), shrunk to the mean."""
    clicks, rows = np.zeros((n_items, 3)), np.zeros((n_items, 3))
    np.add.at(clicks, (log["item"], log["position"]), log["click"])
    np.add.at(rows, (log["item"], log["position"]), 1)
    return np.asarray((clicks + SMOOTHING * log["click"].mean()) / (rows + SMOOTHING))


def estimates(log: pd.DataFrame, other: pd.DataFrame) -> tuple[dict[str, PolicyValue], Floats]:
    """Return what the other log's policy would have earned here, by estimator, and its distributions (n, n_items)."""
    n_items = int(max(log["item"].max(), other["item"].max())) + 1
    item, position = log["item"].to_numpy(), log["position"].to_numpy()
    policy = chances(other, log["timestamp"].to_numpy(), position, n_items)
    row = np.arange(len(log))
    reward, propensity = log["click"].to_numpy(float), log["propensity"].to_numpy(float)
    # Each half is predicted by the clicks of the other half.
    half = row % 2 == 0
    predicted, expected = np.empty(len(log)), np.empty(len(log))
    for side in (True, False):
        q = reward_model(log[half != side], n_items)[:, position].T
        predicted[half == side] = q[row, item][half == side]
        expected[half == side] = (policy * q).sum(axis=1)[half == side]
    target = policy[row, item]
    values = {
        "ips": ips(reward, propensity, target),
        "snips": snips(reward, propensity, target),
        "doubly_robust": doubly_robust(reward, propensity, target, predicted, expected),
    }
    return values, policy


def compare(value: PolicyValue, clicks: Floats) -> dict[str, Any]:
    """Set an estimate beside the click rate of the other log (n,)."""
    z, rate = norm.ppf(0.975), float(clicks.mean())
    own, error = float(clicks.std(ddof=1) / np.sqrt(len(clicks))), (value.high - value.value) / norm.ppf(0.975)
    numbers = asdict(value) | {"rate": rate, "rate_low": rate - z * own, "rate_high": rate + z * own}
    figures: dict[str, Any] = rounded(numbers, 6)
    figures["holds"] = bool(abs(value.value - rate) <= z * np.hypot(own, error))
    figures["interval_holds"] = bool(value.low <= rate <= value.high)
    return figures


def main() -> None:
    """Estimate both policies of every campaign from the log of the other; write and print the result."""
    content, by_campaign = archive(), dict[str, Any]()
    for campaign in CAMPAIGNS:
        logs = {policy: read_log(content, policy, campaign) for policy in POLICIES}
        for mine, other in POLICIES.items():
            values, policy = estimates(logs[mine], logs[other])
            clicks = logs[other]["click"].to_numpy(float)
            table = {name: compare(value, clicks) for name, value in values.items()}
            chosen = policy[np.arange(len(logs[mine])), logs[mine]["item"]]
            agreement = {"mean_weight": round(float((chosen / logs[mine]["propensity"]).mean()), 3)}
            by_campaign[f"{campaign}: {other} from the log of {mine}"] = table | agreement
    rows = [row for table in by_campaign.values() for name, row in table.items() if name != "mean_weight"]
    headline = {
        "estimates": len(rows),
        "holds": sum(row["holds"] for row in rows),
        "interval_holds": sum(row["interval_holds"] for row in rows),
        "widest_over_rate": round(max((row["high"] - row["low"]) / row["rate"] for row in rows), 2),
        "narrowest_over_rate": round(min((row["high"] - row["low"]) / row["rate"] for row in rows), 2),
    }
    result = {"headline": headline, "targets": TARGETS, "by_campaign": by_campaign}
    write(RESULT, result | about("make bench-open-bandit", []))
    for name, table in by_campaign.items():
        print(name, f"(mean weight {table.pop('mean_weight')})")
        for estimator, row in table.items():
            held = "holds" if row["holds"] else "MISSES"
            print(f"  {estimator:14} {row['value']:.4f} [{row['low']:.4f}, {row['high']:.4f}] {held} {row['rate']:.4f}")
    print(headline)


if __name__ == "__main__":
    main()
