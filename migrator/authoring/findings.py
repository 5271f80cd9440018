"""What lint says, and what it has to be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """
    One thing that a rule has against a revision.

    Args:
        revision: Which; empty: the environment as a whole.
        rule: The rule's name, as an allowance writes it.
        message: What is dangerous, and what to do instead.
        where: The statement, shortened, or the line; empty: the whole revision.
    """

    revision: str
    rule: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        """Say it on one line."""
        where = f" [{self.where}]" if self.where else ""
        return f"{self.revision or 'history'}: {self.rule}: {self.message}{where}"


@dataclass(frozen=True)
class LintRules:
    """
    What lint cannot know from the environment alone.

    Args:
        foreign_tables: Names of other databases' tables: none may occur in this environment's revisions.
        postgres_major: The oldest PostgreSQL that the revisions are for.
    """

    foreign_tables: frozenset[str] = frozenset()
    postgres_major: int = 15


def shortened(text: str, limit: int = 100) -> str:
    """Return *text* as one line of at most *limit* characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 3]}..."
