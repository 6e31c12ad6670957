"""Copy Tailor's base configuration into the new project: it stands beside the starter, in the same checkout."""

import shutil
import sys
from pathlib import Path

CONF = Path(r"{{ cookiecutter._repo_dir }}").resolve().parents[1] / "conf"

if not (CONF / "base").is_dir():
    sys.exit(f"{CONF}: Tailor's configuration is not there; take the starter from a whole checkout of Tailor.")
shutil.copytree(CONF / "base", "conf/base")
shutil.copy(CONF / "logging.yml", "conf/logging.yml")
