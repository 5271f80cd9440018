"""SQL as text, cut into statements and words: enough to judge DDL without a parser of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
  | (?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
  | (?P<text>[eE]?'(?:[^'\\]|''|\\.)*')
  | (?P<quoted>"(?:[^"]|"")+")
  | (?P<word>[A-Za-z_][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<space>\s+)
  | (?P<sign>::|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Statement:
    """
    One statement.

    Args:
        text: As it was written, without the semicolon and without comments in front of it.
        words: Its tokens: keywords in upper case, quoted names without quotes, texts as `'...'`.
        in_transaction: It runs inside the revision's transaction.
        block: Which autocommit block it is in; 0: none.
    """

    text: str
    words: tuple[str, ...]
    in_transaction: bool = True
    block: int = 0

    @property
    def spaced(self) -> str:
        """Its tokens with one space between any two, for matching."""
        return " ".join(self.words)


def statements(text: str) -> list[Statement]:
    """Return the statements of *text* in order, those between COMMIT and BEGIN told apart; both are left out."""
    found: list[Statement] = []
    in_transaction, block = True, 0
    for piece in _pieces(text):
        words = _words(piece)
        if words == ("BEGIN",):
            in_transaction = True
        elif words == ("COMMIT",):
            in_transaction, block = False, block + 1
        elif words:
            found.append(Statement(piece.strip(), words, in_transaction, 0 if in_transaction else block))
    return found


def _pieces(text: str) -> Iterator[str]:
    start = 0
    for match in _TOKEN.finditer(text):
        if match.lastgroup == "sign" and match[0] == ";":
            yield _without_leading_comments(text[start : match.start()])
            start = match.end()
    yield _without_leading_comments(text[start:])


def _without_leading_comments(text: str) -> str:
    while (match := re.match(r"\s*(--[^\n]*(\n|$)|/\*.*?\*/)", text, re.DOTALL)) is not None:
        text = text[match.end() :]
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(_tokens(text))


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        kind = "dollar" if match["dollar"] is not None else match.lastgroup
        if kind in {"space", "comment"}:
            continue
        if kind == "quoted":
            yield match[0][1:-1].replace('""', '"')
        elif kind == "word":
            yield match[0].upper() if match[0].upper() in KEYWORDS else match[0].lower()
        else:
            yield match[0]


#: Words that PostgreSQL's DDL is recognised by; any other is a name and kept in lower case.
KEYWORDS = frozenset(
    """
    ADD ALL ALTER ALWAYS AND AS ATTACH BEGIN BY CASCADE CHECK CLUSTER COLUMN COMMENT COMMIT CONCURRENTLY CONSTRAINT COPY
    CREATE DATABASE DEFAULT DELETE DETACH DISABLE DO DOMAIN DROP ENABLE EXCLUDE EXECUTE EXISTS EXTENSION FOREIGN FROM
    FULL FUNCTION GENERATED IDENTITY IF IN INCLUDE INDEX INSERT INTO IS KEY LOCK LOGGED MATERIALIZED MERGE NOT NULL OF
    ON ONLY OR ORDER PARTITION PRIMARY PROCEDURE REFERENCES REFRESH REINDEX RENAME REPLACE ROLLBACK SCHEMA SELECT
    SEQUENCE SET STORED STATISTICS TABLE TABLESPACE TEMP TEMPORARY TO TRIGGER TRUNCATE TYPE UNIQUE UNLOGGED UPDATE USING
    VACUUM VALID VALIDATE VALUES VIEW VIRTUAL WHERE WITH
    """.split()  # noqa: SIM905 - a list of 90 literals would not be easier to read
)
