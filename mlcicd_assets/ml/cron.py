"""Cron expressions of five fields, checked as they are declared: minute, hour, day, month, weekday."""

from collections.abc import Iterator

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Name, first and last value, and the names that stand for values.
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of the week", 0, 7, {name: number for number, name in enumerate(_WEEKDAYS)}),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def check_cron(text: str) -> str:
    """The expression; raises ValueError in plain words, also for a day that never comes (31 February)."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(
            f"a schedule has five fields, like '0 2 * * *' (minute, hour, day, month, weekday), not {text!r}"
        )
    values = [set(_values(part, *field)) for part, field in zip(parts, _FIELDS, strict=True)]
    days, months, weekdays = values[2], values[3], parts[4]
    if weekdays == "*" and not any(min(days) <= _LONGEST[month - 1] for month in months):
        raise ValueError(f"the schedule {text!r} never comes: no such month has a day {min(days)}")
    return text


def _values(part: str, name: str, first: int, last: int, names: dict[str, int]) -> Iterator[int]:
    for item in part.split(","):
        span, slash, step = item.partition("/")
        low, dash, high = span.partition("-")
        try:
            start = first if span == "*" else _number(low, names)
            end = last if span == "*" or (slash and not dash) else _number(high, names) if dash else start
            every = int(step) if slash else 1
        except ValueError:
            raise ValueError(
                f"the {name} of a schedule reads like '*', '5', '1-5' or '*/15', not {item!r}"
            ) from None
        if not first <= start <= end <= last or not 0 < every <= last - first + 1:
            raise ValueError(f"the {name} of a schedule is from {first} to {last}, not {item!r}")
        yield from range(start, end + 1, every)


def _number(text: str, names: dict[str, int]) -> int:
    found = names.get(text.lower())
    if found is not None:
        return found
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)
