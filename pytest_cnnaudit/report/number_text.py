"""Numbers as the pages write them: short, and never rounded onto the limit they are compared with.

PYTEST_DONT_REWRITE
"""

import math


def number(value: object) -> float | None:
    """Give a finite number as float, anything else (None, NaN, infinity, text) as None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def show(value: object, beside: object = None, *, share: bool = False) -> str:
    """Write a number short, a `share` as per cent.

    A number gets as many decimals as tell it from the one `beside` it.
    """
    figure, other = number(value), number(beside)
    if figure is None:
        return "–"
    if share:
        return percent(figure)
    if abs(figure) > 1 and figure.is_integer() and abs(figure) < 1e9:
        return f"{figure:.0f}".replace("-", "−")
    if abs(figure) >= 10_000 or 0 < abs(figure) < 0.001:
        return f"{figure:.3g}".replace("-", "−")
    for decimals in (2, 3, 4, 6):
        text = f"{figure:.{decimals}f}"
        if other is None or other == figure or text != f"{other:.{decimals}f}":
            break
    return text.replace("-", "−")


def percent(share: float) -> str:
    """Write a share as per cent, with decimals only where it has some."""
    return f"{100 * share:.4g}\u00a0%"


def duration(value: object) -> str:
    """Write seconds; empty where there is no number."""
    seconds = number(value)
    return "" if seconds is None else f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
