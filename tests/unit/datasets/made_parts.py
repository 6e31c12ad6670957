"""Parts for another process, which imports this module and little else."""

import time

import pandas as pd


def numbers_to(part: int) -> pd.DataFrame:
    """Return as many rows as the number of the part."""
    return pd.DataFrame({"user_id": [f"u{part}"] * part, "rank": range(part)}).astype({"user_id": "str"})


def interrupted_at_two(part: int) -> pd.DataFrame:
    """Do the same, but end at part 2 as by Ctrl-C."""
    if part == 2:
        raise KeyboardInterrupt
    return numbers_to(part)


def slowly(part: int) -> pd.DataFrame:
    """Do the same, in a while."""
    time.sleep(0.2)
    return numbers_to(part)
