"""Write the generated pages: ``python -m docs.generator [FOLDER]``."""

import sys
from pathlib import Path

from docs.generator import FOLDER, write

if __name__ == "__main__":
    for page in write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER):
        print(page)
