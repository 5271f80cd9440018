"""
The brake: a database that refuses whatever it is given must not turn the whole queue into dead letters.

Refused rows that outnumber accepted ones cast doubt on the database.  From then on a row is condemned only where the
database takes harmless rows of the same moment; where it refuses those too, everybody waits until it is mended.
"""

import threading
from datetime import datetime
from typing import Any

import psycopg

from migrator.classifier import ErrorClass, classify
from worker.data_errors import is_data_error
from worker.patience import Patience
from worker.specimens import specimens_of
from worker.tables import COPY_NEW, LLM_PAYLOADS, TABLES, Table, copy_rows, homes_of, rows_of

MOST_REFUSED_ROWS = 100
"""By so many may refused rows outnumber accepted ones before the database itself is in doubt."""


class DatabaseRefusesError(Exception):
    """PostgreSQL refuses even harmless rows: nothing was written, nothing is condemned; wait, then try again."""

    def __init__(self, reason: str, patience: Patience) -> None:
        super().__init__(reason)
        self.patience = patience


class Brake:
    """
    One table's brake, shared by all lanes of a worker.

    Args:
        stop: Ends every pause at once.
    """

    def __init__(self, table: Table, stop: threading.Event) -> None:
        self.patience = Patience(
            "refused_by_postgres",
            stop,
            begun="PostgreSQL refuses whatever it is given; nothing is condemned, the worker waits until it is mended",
            ended="PostgreSQL takes rows again",
        )
        self._table = table
        self._excess = 0
        self._guard = threading.Lock()

    def accepted(self, rows: int) -> None:
        """Note *rows* that the database took; each makes up for one that it refused."""
        with self._guard:
            self._excess = max(0, self._excess - rows)

    def released(self) -> None:
        """Note a batch that the database took whole."""
        self.patience.over()

    def refused(self, connection: psycopg.Connection[Any], moment: datetime) -> None:
        """
        Return if a row of *moment*, just refused, may be condemned.

        Raises:
            DatabaseRefusesError: The fault is the database's.
            psycopg.Error: The server's trouble.
        """
        with self._guard:
            self._excess = min(self._excess + 1, MOST_REFUSED_ROWS + 1)
            if self._excess <= MOST_REFUSED_ROWS:
                return
        refusal = self._refusal(connection, moment)
        if refusal is not None:
            raise DatabaseRefusesError(_advice(self._table, refusal), self.patience)
        with self._guard:
            self._excess = 0

    def _refusal(self, connection: psycopg.Connection[Any], moment: datetime) -> psycopg.Error | None:
        """What the database says to harmless rows; None where it would take them.  They never stay."""
        specimens = specimens_of(self._table.struct, moment)
        try:
            with connection.transaction(force_rollback=True), connection.cursor() as cursor:
                for table in homes_of(self._table.struct):
                    copy_rows(cursor, COPY_NEW[table], table.types, rows_of(table, specimens))
        except psycopg.Error as exc:
            if is_data_error(exc):
                return exc
            # A day whose payloads were dropped has no partition for them, and its calls are rows all the same.
            is_day_missing = classify(exc, writing=True) is ErrorClass.NO_PARTITION
            if not (is_day_missing and exc.diag.table_name == LLM_PAYLOADS.name):
                raise
        return None


class Brakes(dict[Table, Brake]):
    """A brake for each table."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__({table: Brake(table, stop) for table in TABLES})


def _advice(table: Table, refusal: psycopg.Error) -> str:
    return (
        f"every row of {table.name} is refused, harmless ones too (SQLSTATE {refusal.sqlstate}: "
        f"{refusal.diag.message_primary}). Nothing is lost. Look for a CHECK, a trigger or a column that was changed "
        "by hand (`headhunter db check logs`) and mend it; the worker goes on by itself"
    )
