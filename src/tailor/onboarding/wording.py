"""Figures in words, as comments and messages write them."""

import math
import textwrap


def percent(share: float) -> str:
    """Write a share; 100 % is said only of all, 0 % only of none.

    Example:
        >>> percent(0.5), percent(0.9999), percent(0.0001), percent(1.0)
        ('50 %', '99.9 %', 'under 0.1 %', '100 %')
    """
    if 0 < share < 0.001:
        return "under 0.1 %"
    figure = math.floor(1000 * share + 1e-9) / 10
    return f"{figure:.1f} %" if figure % 1 or 0 < figure < 1 else f"{figure:.0f} %"


def wrapped(text: str, indent: int, width: int = 120) -> str:
    """Write text as lines of comment.

    Args:
        text: to be written; line breaks in it become blanks.
        indent: blanks before each line.
        width: of a line.
    """
    start = " " * indent + "# "
    return "\n".join(textwrap.wrap(" ".join(text.split()), width, initial_indent=start, subsequent_indent=start))


def about(number: float) -> int:
    """Round a number that was estimated to two figures.

    Example:
        >>> about(518_797), about(7)
        (520000, 7)
    """
    scale = 10 ** max(len(str(round(number))) - 2, 0)
    return int(round(number / scale) * scale)
