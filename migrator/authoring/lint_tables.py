"""Rules on ALTER TABLE: what each of its actions does to those who use the table meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from migrator.authoring.known_schema import KnownSchema, keeps_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migrator.authoring.sql_text import Statement

_NAME = r"(?:\S+ \. )?\S+"
_ALTER = re.compile(rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?(?P<table>{_NAME}) (?P<actions>.+)")
_ADD_COLUMN = re.compile(
    r"ADD (?:COLUMN )?(?:IF NOT EXISTS )?(?!CONSTRAINT|CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)"
    r"(?P<column>\S+) (?P<rest>.+)"
)
_ADD_CONSTRAINT = re.compile(
    r"ADD (?:CONSTRAINT (?P<name>\S+) )?(?P<kind>CHECK|UNIQUE|PRIMARY|FOREIGN|EXCLUDE)\b(?P<rest>.*)"
)
_TYPE = re.compile(r"ALTER (?:COLUMN )?(?P<column>\S+) (?:SET data )?TYPE (?P<type>.+?)(?: USING (?P<using>.+))?")
_NOT_NULL = re.compile(r"ALTER (?:COLUMN )?(?P<column>\S+) SET NOT NULL")
_DEFAULT = re.compile(
    r"\bDEFAULT (?P<expression>.+?)(?= NOT NULL| NULL\b| CONSTRAINT | REFERENCES | UNIQUE| CHECK| PRIMARY|$)"
)
_CALL = re.compile(r"(?P<function>[\w.]+(?: \. \w+)?) \(")
# Functions whose result is the same for all rows of a statement: the server evaluates them once.
_STABLE = {
    "now",
    "transaction_timestamp",
    "statement_timestamp",
    "make_interval",
    "current_setting",
    "coalesce",
    "varchar",
}
_STABLE |= {"numeric", "decimal", "to_timestamp", "lower", "upper", "character varying", "interval", "timestamp", "bit"}
_SERIAL = re.compile(r"(?:small|big)?serial[248]?\b")

Verdict = tuple[str, str]
"""A rule and its message."""


@dataclass
class Progress:
    """
    What the revision did so far.

    Args:
        before: The schema that it met.
        created: Tables that it made itself: nobody else uses them yet.
        not_valid: Constraints that it added NOT VALID.
    """

    before: KnownSchema
    created: set[str] = field(default_factory=set)
    not_valid: set[str] = field(default_factory=set)

    def is_new(self, table: str) -> bool:
        """Whether the revision made *table* itself."""
        return table in self.created or table.rpartition(".")[2] in self.created


def judge_alter_table(statement: Statement, progress: Progress) -> Iterator[Verdict]:
    """Yield what is dangerous in an ALTER TABLE; nothing for other statements and for tables made just now."""
    match = _ALTER.fullmatch(statement.spaced)
    if match is None:
        return
    table = match["table"].replace(" . ", ".")
    for action in _actions(match["actions"]):
        unnamed = _ADD_CONSTRAINT.match(action)
        if unnamed and not unnamed["name"]:
            yield "names-written-out", "The constraint has no name of its own. Write it out: ADD CONSTRAINT name ..."
        if not progress.is_new(table):
            yield from _judge_action(table, action, progress)


def _actions(text: str) -> Iterator[str]:
    """Cut at the commas that are in no parentheses."""
    depth, start = 0, 0
    words = text.split(" ")
    for place, word in enumerate(words):
        depth += word.startswith("(") - word.startswith(")")
        if word == "," and depth == 0:
            yield " ".join(words[start:place])
            start = place + 1
    yield " ".join(words[start:])


def _judge_action(table: str, action: str, progress: Progress) -> Iterator[Verdict]:
    if column := _ADD_COLUMN.fullmatch(action):
        yield from _judge_column(column["rest"])
    elif constraint := _ADD_CONSTRAINT.match(action):
        yield from _judge_constraint(table, constraint, action, progress)
    elif change := _TYPE.fullmatch(action):
        old = progress.before.type_of(table, change["column"])
        if change["using"] or not keeps_files(old, change["type"]):
            yield (
                "type-change",
                (
                    f"{change['column']} from {old or 'an unknown type'} to {change['type']} rewrites or scans "
                    f"{table} while nobody can use it. Add a new column, fill it in batches, then use that one."
                ),
            )
    elif (not_null := _NOT_NULL.fullmatch(action)) and not progress.before.proves_not_null(table, not_null["column"]):
        yield (
            "set-not-null",
            (
                f"SET NOT NULL scans {table} while nobody can use it. Use op.add_not_null for {not_null['column']}, in "
                "a revision of its own."
            ),
        )
    else:
        yield from _judge_words(table, action, progress)


def _judge_words(table: str, action: str, progress: Progress) -> Iterator[Verdict]:
    if re.match(r"RENAME (COLUMN )?(?!CONSTRAINT|TO\b)\S+ TO ", action):
        yield (
            "rename-column",
            "Running code still asks for the old name. Add a new column, write both, then drop the old.",
        )
    elif re.match(r"RENAME TO |SET SCHEMA ", action):
        yield "rename-table", f"Running code still asks for {table}. Make a new table, or leave a view of the old name."
    elif re.match(r"DROP (COLUMN )?(?!CONSTRAINT|COLUMN)\S+", action):
        yield (
            "drop-column",
            (
                "What is in it is lost, and running code still reads it. Release code that does not use the "
                f"column of {table} first, then allow this rule and say so."
            ),
        )
    elif validated := re.match(r"VALIDATE CONSTRAINT (?P<name>\S+)", action):
        if validated["name"] in progress.not_valid:
            yield (
                "validate-apart",
                (
                    f"Validated in the transaction that added it, {validated['name']} keeps the exclusive lock on "
                    f"{table} for the whole scan. Use op.add_check, or validate it in a revision of its own."
                ),
            )
    elif re.match(r"SET (LOGGED|UNLOGGED|TABLESPACE|access)\b", action):
        yield "table-rewrite", f"It writes {table} anew while nobody can use it."
    elif re.match(r"CLUSTER ON", action):
        yield "table-rewrite", "It makes the next CLUSTER rewrite the table while nobody can use it."
    elif re.match(r"DISABLE TRIGGER|(ENABLE|DISABLE|force) (row|ROW)", action):
        yield "guard-switched", f"It changes what protects the rows of {table} for everybody at once."


def _judge_column(rest: str) -> Iterator[Verdict]:
    default = _DEFAULT.search(rest)
    if _SERIAL.match(rest) or "AS IDENTITY" in rest:
        yield (
            "add-identity",
            "Numbering the rows that are there rewrites the table while nobody can use it. Use a uuid.",
        )
    elif "GENERATED ALWAYS AS (" in rest and not rest.endswith("VIRTUAL"):
        yield (
            "add-stored-column",
            "Computing it for the rows that are there rewrites the table. Use a trigger or a view.",
        )
    elif "NOT NULL" in rest and default is None:
        yield (
            "add-required-column",
            (
                "Rows that are there have nothing in it, so it fails, and running code does not give it. Let it be "
                "null, or give it a constant default."
            ),
        )
    if default is not None and _is_volatile(default["expression"]):
        yield (
            "volatile-default",
            (
                "The default differs from row to row, so the table is rewritten while nobody can use it. Add the "
                "column without, set the default in the next statement, and fill old rows in batches."
            ),
        )
    if "REFERENCES" in rest:
        yield "add-foreign-key", _FOREIGN_KEY
    if re.search(r"\bUNIQUE\b|PRIMARY KEY", rest):
        yield "add-unique", _UNIQUE
    if re.search(r"\bCHECK \(", rest):
        yield "add-check", _CHECK


def _is_volatile(expression: str) -> bool:
    for call in _CALL.finditer(expression):
        name = call["function"].rpartition(".")[2].strip().lower()
        if name not in _STABLE:
            return True
    return False


def _judge_constraint(table: str, match: re.Match[str], action: str, progress: Progress) -> Iterator[Verdict]:
    kind, is_valid = match["kind"], not action.endswith("NOT VALID")
    if not is_valid and match["name"]:
        progress.not_valid.add(match["name"])
    if kind == "CHECK" and is_valid:
        yield "add-check", _CHECK
    elif kind == "FOREIGN" and is_valid:
        # Before 18 a partitioned table cannot have one that is NOT VALID; it stays dangerous all the same.
        yield "add-foreign-key", _FOREIGN_KEY
    elif kind in {"UNIQUE", "PRIMARY"} and "USING INDEX" not in action:
        yield "add-unique", _UNIQUE
    elif kind == "EXCLUDE":
        yield "add-exclusion", f"It builds an index on {table} while nobody can use it, and there is no gentle way."


_CHECK = "It scans the table while nobody can use it. Use op.add_check, in a revision of its own."
_FOREIGN_KEY = (
    "It scans the table while nobody can write to either. Add it NOT VALID, and validate it in the next revision."
)
_UNIQUE = (
    "It builds an index while nobody can use the table. Build a unique index concurrently in a revision of its "
    "own, then ADD CONSTRAINT ... USING INDEX."
)
