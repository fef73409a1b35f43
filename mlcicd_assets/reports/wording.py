"""Numbers, bounds and windows as a reader expects them, on the page, the card and in the UI alike."""

from datetime import datetime, timedelta


def number(value: float | None) -> str:
    """Four digits that matter; small ones in powers of ten; a dash for what is missing."""
    if value is None:
        return "–"
    if value != 0 and abs(value) < 1e-3:
        text = f"{value:.1e}"
    else:
        places = next((places for below, places in ((10, 4), (100, 2), (1000, 1)) if abs(value) < below), 0)
        text = f"{value:,.{places}f}"
    return f"−{text[1:]}" if text.startswith("-") else text


def interval(low: float | None, high: float | None) -> str:
    """'0.7100 to 0.7400'; empty without limits."""
    return "" if low is None or high is None else f"{number(low)} to {number(high)}"


def signed(value: float | None) -> str:
    """With its sign."""
    return f"+{number(value)}" if value is not None and value >= 0 else number(value)


def count(value: int) -> str:
    """Thousands apart."""
    return f"{value:,}"


def plain(name: str) -> str:
    """A name without its underscores."""
    return name.replace("_", " ")


def signs(text: str) -> str:
    """Bounds as a reader expects them: ≥ and ≤."""
    return text.replace(">=", "≥").replace("<=", "≤")


def span(window: tuple[datetime, datetime]) -> str:
    """A window by its first and last day."""
    start, end = window
    return f"{start:%Y-%m-%d} … {end - timedelta(microseconds=1):%Y-%m-%d}"
