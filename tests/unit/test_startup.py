"""What a command of Kedro imports before it knows what to do."""

import subprocess
import sys

#: Seconds each on a slow machine.
HEAVY = {"torch", "transformers", "peft", "optuna", "plotly", "sklearn"}


def test_settings_import_no_code_of_training():
    code = f"import sys, tailor.settings; print(sorted({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
