"""The five levels of a system log, and the names by which other programs call them."""

from log_events.columns import Level

LEVELS: tuple[Level, ...] = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

LEVEL_ALIASES: dict[str, Level] = {
    "trace": "DEBUG",
    "notice": "INFO",
    "warn": "WARNING",
    "err": "ERROR",
    "fatal": "CRITICAL",
}
"""What is understood beside the five names; in any case, like the names themselves."""

_KNOWN: dict[str, Level] = {level.lower(): level for level in LEVELS} | LEVEL_ALIASES


def normalised_level(text: str) -> Level | None:
    """One of `LEVELS` for a level's name or alias in any case; None for any other text."""
    return _KNOWN.get(text.lower())


def level_of_number(number: int) -> Level:
    """The nearest of `LEVELS` at or below a number of the logging module, so that custom levels have a place too."""
    return LEVELS[min(max(int(number) // 10, 1), len(LEVELS)) - 1]
