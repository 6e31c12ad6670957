"""Where the state is."""

import os
from pathlib import Path

#: Names the database that all processes share; without it a file of SQLite lies beside the data.
STATE_VARIABLE = "TAILOR_STATE_URL"
#: Name in the registry of the model whose state MLflow's server follows, where the database holds that of several.
MODEL_VARIABLE = "TAILOR_STATE_MODEL"


def address_of(file: Path) -> str:
    """Return the address of the state: what the environment names, else a file of SQLite."""
    return os.environ.get(STATE_VARIABLE) or f"sqlite:///{file}"
