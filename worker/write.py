"""
Writing the events of some entries until they are committed, whatever the database says meanwhile.

What is the server's trouble is waited out, what is the data's becomes a dead letter; a moved schema stops the worker.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import date
from functools import partial
from typing import Any

import psycopg

from log_events.wire import LogEvent
from logs_db.ledger import EntryKey
from migrator.classifier import ErrorClass, classify, sentence
from worker.acceptance import AcceptedPast
from worker.brake import Brakes, DatabaseRefusesError
from worker.data_errors import is_data_error, is_entry_written
from worker.decode import ANY_PAST, Batch, Row, decode_batch, decode_each
from worker.entry import Entry
from worker.expiry import NeededDays, set_dayless_aside
from worker.holds import EntriesGoneError, nothing_gone
from worker.missing_days import DaysMade
from worker.patience import Patience
from worker.store import Written, connect, write_checked, write_new
from worker.suspects import RowKey, suspects_of
from worker.tables import LLM_LOGS, SYSTEM_LOGS


class SchemaMovedError(Exception):
    """The tables are not what this worker knows; nothing was condemned, what it had in hand stays pending."""


class Writer:
    """
    One lane's connection to the logs database.

    Args:
        url: Of the logs database.
        patience: How it waits for a database that is away.
        make_days: Makes the partitions of some days for events of a type, as far as that can be done.
        name: Of the connection, for pg_stat_activity.
        brakes: Of the worker; None: of this writer alone.
        past: How old an event may be when it is accepted.
        gone_of: Which of some entries are pending no more, asked before each COMMIT.
    """

    def __init__(
        self,
        url: str,
        patience: Patience,
        make_days: Callable[[type[LogEvent], set[date]], DaysMade],
        name: str,
        brakes: Brakes | None = None,
        past: AcceptedPast = ANY_PAST,
        gone_of: Callable[[Sequence[Entry]], AbstractSet[EntryKey]] = nothing_gone,
    ) -> None:
        self._url = url
        self._patience = patience
        self._make_days = make_days
        self._name = name
        self._brakes = brakes or Brakes(patience.stop)
        self._past = past
        self._gone_of = gone_of
        self._connection: psycopg.Connection[Any] | None = None

    def write(self, entries: Sequence[Entry]) -> Written:
        """
        Write all events of *entries*; return once each is a row or a dead letter.

        Raises:
            SchemaMovedError: The tables are not what this worker knows.
            StoppedError: The worker was told to stop while the database was away.
        """
        if any(entry.is_doubtful for entry in entries):
            return self._write_checked(entries, frozenset())
        written, suspects = self._write_new(entries, decode_batch(entries, self._past))
        return self._write_checked(entries, suspects) if written is None else written

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _write_new(self, entries: Sequence[Entry], batch: Batch) -> tuple[Written | None, AbstractSet[RowKey]]:
        """Write in one go; where that fails return None, and the key of the row at which it failed if that is known."""
        try:
            written = write_new(self._connected(), batch, lambda: self._confirm(entries, frozenset()))
        except EntriesGoneError:
            return None, frozenset()
        except psycopg.Error as exc:
            if is_data_error(exc):
                return None, suspects_of(exc, batch)
            self._recover(exc, [])
            return None, frozenset()
        self._patience.over()
        for table, events in ((SYSTEM_LOGS, batch.system_logs), (LLM_LOGS, batch.llm_logs)):
            if events:
                self._brakes[table].accepted(len(events))
                self._brakes[table].released()
        return written, frozenset()

    def _write_checked(self, entries: Sequence[Entry], suspects: AbstractSet[RowKey]) -> Written:
        """Write in one transaction; where the data is at fault, by halves, so that one bad event costs no other."""
        rows, dead = decode_each(entries, self._past)
        doubted: AbstractSet[RowKey] | None = suspects
        gone: AbstractSet[EntryKey] = frozenset()
        while True:
            confirm = partial(self._confirm, entries, gone)
            try:
                written = write_checked(
                    self._connected(), rows, dead, self._brakes, suspects=doubted, gone=gone, confirm=confirm
                )
                self._patience.over()
                return written
            except EntriesGoneError as exc:
                gone |= exc.keys
            except DatabaseRefusesError as exc:
                exc.patience.wait(str(exc))
            except psycopg.Error as exc:
                if is_data_error(exc) and doubted is not None:
                    doubted = None
                else:
                    rows, dead = set_dayless_aside(rows, dead, self._recover(exc, rows))

    def _confirm(self, entries: Sequence[Entry], gone: AbstractSet[EntryKey]) -> None:
        """Make sure, now that nobody else can commit them, that nobody has: but for *gone*, of which that is known."""
        in_hand = [entry for entry in entries if entry.key not in gone]
        newly_gone = self._gone_of(in_hand) if in_hand else frozenset()
        if newly_gone:
            raise EntriesGoneError(newly_gone)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, application_name=self._name)
        return self._connection

    def _recover(self, error: psycopg.Error, rows: Sequence[Row]) -> NeededDays:
        """
        Do what lets the next try succeed; data comes here as a fault only where no event is to blame any more.

        Return which of *rows* no try will ever help.
        """
        kind = classify(error, writing=True)
        if kind is ErrorClass.SCHEMA_MOVED:
            raise SchemaMovedError(sentence(error)) from error
        if kind is ErrorClass.NO_PARTITION:
            return self._make_missing_days(rows)
        if not is_entry_written(error):
            self.close()
            self._patience.wait(sentence(error))
        return {}

    def _make_missing_days(self, rows: Sequence[Row]) -> NeededDays:
        """Make the partitions of all days that *rows* need; a failure is waited out like any other of the server's."""
        days: dict[type[LogEvent], set[date]] = {}
        for row in rows:
            days.setdefault(type(row.event), set()).add(row.event.created_at.date())
        made: dict[type[LogEvent], DaysMade] = {}
        for struct, of_table in days.items():
            try:
                made[struct] = self._make_days(struct, of_table)
            except psycopg.Error as exc:
                self._patience.wait(sentence(exc))
        return made
