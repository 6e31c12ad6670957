"""`make bench-data`: what `data_processing` takes for 10⁷ rows of a text file: seconds, and the most memory.

The file is fabricated: 500,000 users, 200,000 items of a long tail, dates, ratings. A run of the pipeline reads,
cleans and splits it and writes the data card, in a process of its own. ``--rows N`` takes another number of rows.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from catalogues import RESULTS, ROOT, about, seconds_of, write

SEED, ROWS, USERS, ITEMS = 0, 10_000_000, 500_000, 200_000
TARGETS = {"minutes": "<= 10", "gib": "<= 8"}
CATALOG = {
    "raw_interactions": {"type": "tailor.datasets.TextTableDataset", "filepath": "${globals:raw}/interactions.csv"},
    "raw_items": {"type": "tailor.datasets.TextTableDataset", "filepath": "${globals:raw}/items.csv"},
    "raw_users": {"type": "tailor.datasets.AbsentDataset", "columns": ["user_id"]},
}
PARAMETERS = {
    "data_processing": {
        "columns": {
            "interactions": [{"user_id": "user"}, {"item_id": "item"}, {"timestamp": "time"}, {"value": "stars"}],
            "items": [{"item_id": "item"}, {"title": "title"}],
            "users": [{"user_id": "user_id"}],
        }
    },
    "feature_engineering": {
        "text": {"item_template": ["{title}"], "categories": {"column": None}},
        "profile": {"columns": []},
    },
}


def fabricate(folder: Path, n_rows: int) -> None:
    """Write a catalogue of ``n_rows`` interactions as CSV files."""
    rng = np.random.default_rng(SEED)
    times = pd.to_datetime(1_400_000_000 + rng.integers(0, 10**8, n_rows), unit="s").strftime("%Y-%m-%d %H:%M:%S")
    rows = {
        "user": rng.integers(0, USERS, n_rows),
        "item": (rng.pareto(1.1, n_rows) * 2000).astype(np.int64) % ITEMS,
        "time": times,
        "stars": rng.integers(1, 6, n_rows),
    }
    pd.DataFrame(rows).to_csv(folder / "interactions.csv", index=False)
    titles = [f"Thing {item} of many words" for item in range(ITEMS)]
    pd.DataFrame({"item": np.arange(ITEMS), "title": titles}).to_csv(folder / "items.csv", index=False)


def describe(conf: Path, folder: Path) -> None:
    """Write the environment ``big`` beside a copy of the project's configuration."""
    shutil.copytree(ROOT / "conf", conf)
    names = {"raw": str(folder), "data": str(folder / "data"), "model_name": "big", "alias": "champion", "conf": "big"}
    (conf / "big").mkdir()
    for name, content in {"globals": names, "catalog": CATALOG, "parameters": PARAMETERS}.items():
        (conf / "big" / f"{name}.yml").write_text(yaml.safe_dump(content))


def main() -> None:
    """Measure and write."""
    n_rows = int(sys.argv[-1]) if "--rows" in sys.argv else ROWS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fabricate(folder, n_rows)
        describe(folder / "conf", folder)
        command = [sys.executable, "-m", "kedro", "run", f"--conf-source={folder / 'conf'}", "--env=big"]
        environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
        run = [*command, "--pipelines=data_processing"]
        seconds, _ = seconds_of(lambda: subprocess.run(run, cwd=ROOT, env=environment, check=True))
        accounts = pd.read_parquet(folder / "data/08_reporting/data_accounts.parquet").set_index("table")
    figures = {
        "minutes": round(seconds / 60, 2),
        "gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
        "rows_in": int(accounts.loc["interactions", "rows_in"]),
        "kept": int(accounts.loc["interactions", "kept"]),
    }
    result = {"headline": figures, "targets": TARGETS, "size": {"rows": n_rows, "users": USERS, "items": ITEMS}}
    if n_rows == ROWS:
        write(RESULTS / "data.json", result | about("make bench-data", [SEED]))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
