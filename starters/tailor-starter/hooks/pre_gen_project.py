"""Refuse names that are no folder or no package; prompts check what is typed, this what a file answers."""

import re
import sys

FOLDER, PACKAGE = "{{ cookiecutter.repo_name }}", "{{ cookiecutter.python_package }}"

if not re.fullmatch(r"[a-z][a-z0-9-]*", FOLDER):
    sys.exit(
        f"repo_name = {FOLDER!r}: a folder starts with a lower-case letter, then lower-case letters, digits, hyphens."
    )
if not re.fullmatch(r"[a-z][a-z0-9_]*", PACKAGE) or PACKAGE == "tailor":
    sys.exit(
        f"python_package = {PACKAGE!r}: a package starts with a lower-case letter, then lower-case letters, digits, "
        "underscores, and is not 'tailor'."
    )
