"""Times and spans as operators write them on the command line."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import typer

Parsed = TypeVar("Parsed")

_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_span(text: str) -> timedelta:
    """
    The span that *text* is: a number and one of s, m, h, d, w, as ``90m``.

    Raises:
        ValueError: It is none, in a sentence that says how one looks.
    """
    found = _SPAN.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no span: write a number and s, m, h, d or w, for example 90m or 30d")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any log is kept") from None


def parse_moment(text: str, now: datetime) -> datetime:
    """
    The moment that *text* is, in UTC: ISO 8601, without a zone taken as UTC, or a span, so long before *now*.

    Raises:
        ValueError: It is neither, in a sentence that says how one looks.
    """
    try:
        return now - parse_span(text) if _SPAN.fullmatch(text.strip().lower()) else _in_utc(text)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999") from None


def moment_option(text: str) -> datetime:
    """The moment that the command line names, as `parse_moment` takes it."""
    return _as_option(lambda: parse_moment(text, datetime.now(UTC)))


def span_option(text: str) -> timedelta:
    """The span that the command line names, as `parse_span` takes it."""
    return _as_option(lambda: parse_span(text))


def _as_option(parse: Callable[[], Parsed]) -> Parsed:
    try:
        return parse()
    except ValueError as exc:
        raise typer.BadParameter(str(exc)) from None


def _in_utc(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time: write 2026-01-31, 2026-01-31T12:00, or 2h for two hours ago") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
