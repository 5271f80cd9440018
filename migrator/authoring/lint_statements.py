"""Rules on the SQL that a revision runs, whatever Python made it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migrator.authoring.findings import Finding, LintRules, shortened
from migrator.authoring.lint_tables import Progress, Verdict, judge_alter_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from migrator.authoring.known_schema import KnownSchema
    from migrator.authoring.sql_text import Statement

_NAME = r"(?:\S+ \. )?\S+"
_CREATED = re.compile(
    rf"CREATE (?:UNLOGGED |TEMP |TEMPORARY )?(?:MATERIALIZED )?(?:TABLE|VIEW) (?:IF NOT EXISTS )?(?P<table>{_NAME})"
)
_INDEX = re.compile(
    rf"CREATE (?P<unique>UNIQUE )?INDEX (?P<concurrently>CONCURRENTLY )?(?P<careful>IF NOT EXISTS )?(?P<name>\S+ )?"
    rf"ON (?P<only>ONLY )?(?P<table>{_NAME}) (?:USING \S+ )?\((?P<columns>.*)"
)
_DML = re.compile(
    rf"(?:WITH .+ )?(?:UPDATE (?:ONLY )?|DELETE FROM (?:ONLY )?|MERGE INTO |COPY |INSERT INTO )(?P<table>{_NAME})"  # noqa: S608 - a pattern, no statement
)
_DDL = re.compile(r"(?:CREATE|ALTER|DROP|TRUNCATE|REINDEX|CLUSTER)\b")
_MAX_COLUMNS = 3
_SIMPLE: tuple[tuple[str, re.Pattern[str], str], ...] = (
    (
        "drop-table",
        re.compile(r"DROP (?:TABLE|DATABASE|SCHEMA|MATERIALIZED VIEW) "),
        (
            "Every row is lost, and running code still asks for it. Release code that does not use it first, then "
            "allow this rule and say so."
        ),
    ),
    ("truncate", re.compile(r"TRUNCATE "), "Every row is lost, and nobody can use the table meanwhile."),
    (
        "table-rewrite",
        re.compile(r"VACUUM .*\bFULL\b|CLUSTER |REINDEX (?!.*CONCURRENTLY)|REFRESH MATERIALIZED VIEW (?!CONCURRENTLY)"),
        "It writes the table or the index anew while nobody can use it.",
    ),
    ("lock-table", re.compile(r"LOCK "), "It stops others for as long as the transaction lasts."),
    (
        "opaque-sql",
        re.compile(r"DO |call |EXECUTE "),
        (
            "What it runs is not to be seen from outside, so nothing can be judged. Write the statements out, or "
            "allow this rule and say what they do."
        ),
    ),
    ("rename-schema", re.compile(rf"ALTER SCHEMA {_NAME} RENAME "), "Running code still asks for the old name."),
    (
        "json-column",
        re.compile(r"(?:CREATE TABLE|ALTER TABLE) .*[^\w.] ?\w+ json(?: |$)"),
        "json has no equality, so that DISTINCT and GROUP BY of running code fail. Use jsonb.",
    ),
    (
        "time-out-switched-off",
        re.compile(
            r"(?:SET|RESET|reset) (?:session |local )?(?:lock_timeout|statement_timeout|all)\b(?! (?:=|TO) '?[1-9])"
        ),
        "Without a time-out a statement that waits for its lock makes everybody else wait behind it.",
    ),
    (
        "detach-inheritance",
        re.compile(r"ALTER TABLE .* no inherit "),
        "Its rows are gone from what running code reads through the parent.",
    ),
    (
        "detach-partition",
        re.compile(r"ALTER TABLE .* DETACH PARTITION (?!.*(CONCURRENTLY|finalize))"),
        "It stops everybody.",
    ),
)


def judge_statements(
    revision: str, statements: Sequence[Statement], before: KnownSchema, rules: LintRules
) -> list[Finding]:
    """Return what is dangerous in the statements of one `upgrade()`, in their order."""
    progress = Progress(before)
    found: list[Finding] = []
    for statement in statements:
        for rule, message in _judge(statement, progress):
            found.append(Finding(revision, rule, message, shortened(statement.text)))
        created = _CREATED.match(statement.spaced)
        if created:
            progress.created.add(created["table"].replace(" . ", "."))
            progress.created.add(created["table"].rpartition(" . ")[2])
    verdicts = [*_judge_together(statements, progress), *_judge_foreign(statements, rules, progress)]
    return [*found, *(Finding(revision, rule, message) for rule, message in verdicts)]


def _judge(statement: Statement, progress: Progress) -> Iterator[Verdict]:
    yield from judge_alter_table(statement, progress)
    yield from _judge_index(statement, progress)
    yield from _judge_dml(statement, progress)
    text = statement.spaced
    for rule, pattern, message in _SIMPLE:
        if pattern.match(text):
            yield rule, message
    if re.match(r"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER ", text):
        table = re.search(rf" ON (?P<table>{_NAME}) ", text)
        if table and not progress.is_new(table["table"].replace(" . ", ".")):
            yield "add-trigger", "From its commit on it runs for every write of running code; writers wait meanwhile."
    dropped = re.match(r"DROP INDEX (?!CONCURRENTLY)", text)
    if dropped:
        yield (
            "drop-index",
            (
                "It waits for, and then stops, everybody who uses the table. Use op.drop_index_concurrently, in a "
                "revision of its own."
            ),
        )


def _judge_index(statement: Statement, progress: Progress) -> Iterator[Verdict]:
    match = _INDEX.match(statement.spaced)
    if match is None:
        return
    table = match["table"].replace(" . ", ".")
    if not match["name"]:
        yield "names-written-out", "The index has no name of its own. Write it out."
    if match["careful"] and match["concurrently"]:
        yield (
            "keeps-invalid-index",
            (
                "IF NOT EXISTS keeps what an interrupted build left behind, INVALID, for ever. Use "
                "op.create_index_concurrently."
            ),
        )
    if not match["concurrently"] and not match["only"] and not progress.is_new(table):
        yield (
            "index-blocks-writers",
            (
                f"Nobody can write to {table} while it is built. Use op.create_index_concurrently, in a revision of "
                "its own."
            ),
        )
    if match["concurrently"] and statement.in_transaction:
        yield "concurrently-in-transaction", "It fails inside a transaction. Use op.create_index_concurrently."
    if match["concurrently"] and progress.before.is_partitioned(table):
        yield (
            "concurrently-on-partitioned",
            (
                f"PostgreSQL refuses it, because {table} is partitioned. Use op.create_index_concurrently with "
                "partitioned=True, so that --sql is right too."
            ),
        )
    columns = _top_level(match["columns"])
    if not match["unique"] and columns > _MAX_COLUMNS:
        yield "wide-index", f"{columns} columns: beyond three an index seldom helps more, and each write pays for it."


def _top_level(text: str) -> int:
    depth, commas = 1, 0
    for word in text.split(" "):
        depth += word.startswith("(") - word.startswith(")")
        if depth == 0:
            break
        commas += word == "," and depth == 1
    return commas + 1


def _judge_dml(statement: Statement, progress: Progress) -> Iterator[Verdict]:
    table = _written_table(statement, progress)
    if table and not re.match(r"INSERT INTO .*? VALUES \(", statement.spaced):
        yield (
            "bulk-dml",
            (
                f"It keeps every row that it writes in {table} locked until all are done. Do it in batches, with "
                "op.run_in_batches, in a revision of its own."
            ),
        )


def _written_table(statement: Statement, progress: Progress) -> str | None:
    match = _DML.match(statement.spaced)
    table = match["table"].replace(" . ", ".") if match else None
    return None if table is None or progress.is_new(table) else table


def _judge_together(statements: Sequence[Statement], progress: Progress) -> Iterator[Verdict]:
    writes = any(_written_table(one, progress) for one in statements)
    if writes and any(_DDL.match(one.spaced) for one in statements):
        yield (
            "ddl-with-dml",
            (
                "Rows are changed in the transaction that holds the locks of a change of the schema. Put them into a "
                "revision of their own."
            ),
        )
    apart = [one for one in statements if not one.in_transaction]
    names = [(one.block, one.spaced) for one in apart]
    if apart and (len(apart) < len(statements) or len({block for block, _ in names}) > 1 or len(names) > 1):
        yield (
            "one-autocommit-operation",
            (
                "A revision that works outside a transaction may do one thing only: what came before it is committed "
                "without its version. Put the rest into revisions of its own."
            ),
        )


def _judge_foreign(statements: Sequence[Statement], rules: LintRules, progress: Progress) -> Iterator[Verdict]:
    is_ours: Callable[[str], bool] = lambda name: progress.is_new(name) or progress.before.has_table(name)  # noqa: E731 - one use
    named = {word for one in statements for word in one.words} & rules.foreign_tables
    for name in sorted(name for name in named if not is_ours(name) or name in progress.created):
        yield "other-database", f"{name} is a table of another database. No revision may touch it from here."
