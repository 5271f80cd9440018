"""What is asked for: without a filter, by each single one, and by the pairs that people ask for."""

from collections.abc import Callable

from benchmarks.readings.fill import RARE_ERROR, RARE_WORD
from benchmarks.readings.sample import Sample
from logs_db.queries import LogFilter, SystemLogFilter

Case = Callable[[Sample, int], LogFilter]
"""A filter for the given number of a sample."""


def _of(*names: str) -> Case:
    def case(sample: Sample, number: int) -> LogFilter:
        row = sample.rows[number * 97 % len(sample.rows)]
        error_types = [RARE_ERROR, *sample.error_types]
        error_type = error_types[number * 7 % len(error_types)]
        # A pair with an error type asks for its own component, or it would hardly ever have a row.
        component = error_type.partition("_")[2] if {"component", "error_type"} <= set(names) else row["component"]
        level = ("ERROR", "INFO", "CRITICAL", "WARNING", "DEBUG")[number % 5]
        values = row | {"level": (level,), "component": (component,), "error_type": error_type, "text": RARE_WORD}
        return SystemLogFilter(**{name: values[name] for name in names})

    return case


CASES: dict[str, Case] = {
    " + ".join(names) or "no filter": _of(*names)
    for names in (
        (),
        ("level",),
        ("component",),
        ("error_type",),
        ("user_id",),
        ("company_id",),
        ("request_id",),
        ("trace_id",),
        ("text",),
        ("level", "component"),
        ("level", "error_type"),
        ("component", "error_type"),
        ("level", "user_id"),
        ("component", "company_id"),
        ("error_type", "company_id"),
        ("user_id", "request_id"),
        ("level", "text"),
    )
}
