"""Processes that write and print how much they have acknowledged, killed in the midst of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

#: Times that a process is killed; `make test-kill` asks for 50.
KILLS = int(os.environ.get("KILLS", "3"))


def killed_again_and_again(program: str, address: str) -> Iterator[int]:
    """Run a program on a database, kill it; yield the largest number that any of its runs has acknowledged."""
    acknowledged = 0
    for k in range(KILLS):
        process = subprocess.Popen([sys.executable, "-c", program, address], stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()
        time.sleep(0.03 + 0.017 * (k % 10))
        process.send_signal(signal.SIGKILL)
        lines = [first, *process.communicate()[0].splitlines()]
        acknowledged = max([acknowledged, *(int(line) for line in lines if line.strip().isdigit())])
        yield acknowledged
