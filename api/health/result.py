"""What a health check says: one of three words, one number, and what to do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class HealthStatus(StrEnum):
    """From good to bad: all well, look at it soon, somebody must act now."""

    PASS = "pass"  # noqa: S105 - a word of the health format, not a password
    WARN = "warn"
    FAIL = "fail"


_SEVERITY = {HealthStatus.PASS: 0, HealthStatus.WARN: 1, HealthStatus.FAIL: 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble that a check has found: how bad it is, and a sentence that says what to do."""

    status: HealthStatus
    sentence: str


def warning(sentence: str) -> Finding:
    """A trouble to look at soon."""
    return Finding(HealthStatus.WARN, sentence)


def failure(sentence: str) -> Finding:
    """A trouble that somebody must mend now."""
    return Finding(HealthStatus.FAIL, sentence)


def worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst of them; ``pass`` where there is none."""
    return max(statuses, key=_SEVERITY.__getitem__, default=HealthStatus.PASS)


class CheckResult(BaseModel):
    """The answer of one check."""

    model_config = ConfigDict(frozen=True)

    status: HealthStatus
    value: int | float | str | None = Field(description="What was measured; null where nothing could be.")
    unit: str | None = Field(description="Unit of the value.")
    message: str = Field(description="What was found and, where it is not good, what to do.")

    @classmethod
    def of(cls, findings: Sequence[Finding], *, value: float | str | None, unit: str | None, summary: str = "") -> Self:
        """The result of a check that has found *findings*, worst first, after *summary*."""
        ordered = sorted(findings, key=lambda finding: -_SEVERITY[finding.status])
        return cls(
            status=worst(finding.status for finding in findings),
            value=value,
            unit=unit,
            message=" ".join(filter(None, (summary, *(finding.sentence for finding in ordered)))),
        )
