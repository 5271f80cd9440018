"""
Writing the events of some entries until they are committed, whatever the database says meanwhile.

What is the server's trouble is waited out, what is the data's becomes a dead letter; a moved schema stops the worker.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import psycopg

from log_events.wire import LogEvent
from migrator.classifier import ErrorClass, classify, sentence
from worker.data_errors import is_data_error, is_entry_written
from worker.decode import Dead, Row, decode_batch, decode_each
from worker.entry import Entry
from worker.patience import Patience
from worker.store import Written, connect, write_checked, write_new


class SchemaMovedError(Exception):
    """The tables are not what this worker knows; nothing was condemned, what it had in hand stays pending."""


class Writer:
    """
    One lane's connection to the logs database.

    Args:
        url: Of the logs database.
        patience: How it waits for a database that is away.
        make_days: Makes the partitions of some days for a table of the events.
    """

    def __init__(
        self, url: str, patience: Patience, make_days: Callable[[type[LogEvent], set[date]], None], name: str
    ) -> None:
        self._url = url
        self._patience = patience
        self._make_days = make_days
        self._name = name
        self._connection: psycopg.Connection[Any] | None = None

    def write(self, entries: Sequence[Entry]) -> Written:
        """
        Write all events of *entries*; return once each is a row or a dead letter.

        Raises:
            SchemaMovedError: The tables are not what this worker knows.
            StoppedError: The worker was told to stop while the database was away.
        """
        if not any(entry.is_redelivered for entry in entries):
            try:
                written = write_new(self._connected(), decode_batch(entries))
                self._patience.over()
                return written
            except psycopg.Error as exc:
                self._recover(exc, [])
        return self._write_checked(entries)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection = None

    def _write_checked(self, entries: Sequence[Entry]) -> Written:
        """Write in one transaction; where the data is at fault, by halves, so that one bad event costs no other."""
        rows, dead = decode_each(entries)
        while True:
            try:
                written = write_checked(self._connected(), rows, dead)
                self._patience.over()
                return written
            except psycopg.Error as exc:
                if is_data_error(exc):
                    break
                self._recover(exc, rows)
        if len(entries) == 1:
            return self._write_what_passes(rows, dead)
        half = len(entries) // 2
        return self._write_checked(entries[:half]) + self._write_checked(entries[half:])

    def _write_what_passes(self, rows: Sequence[Row], dead: Sequence[Dead]) -> Written:
        """Write one entry, and make dead letters of the rows that PostgreSQL refuses."""
        while True:
            try:
                written = write_checked(self._connected(), rows, dead, by_halves=True)
                self._patience.over()
                return written
            except psycopg.Error as exc:
                if is_data_error(exc):
                    # No row is at fault any more: trying for ever would help nobody and hide it.
                    raise
                self._recover(exc, rows)

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, application_name=self._name)
        return self._connection

    def _recover(self, error: psycopg.Error, rows: Sequence[Row]) -> None:
        """Do what lets the next try succeed; a fault of the data needs nothing but the closer look that comes next."""
        kind = classify(error, writing=True)
        if kind is ErrorClass.SCHEMA_MOVED:
            raise SchemaMovedError(sentence(error)) from error
        if kind is ErrorClass.NO_PARTITION:
            self._make_missing_days(rows)
        elif not is_data_error(error) and not is_entry_written(error):
            self.close()
            self._patience.wait(sentence(error))

    def _make_missing_days(self, rows: Sequence[Row]) -> None:
        """Make the partitions of all days that *rows* need; a failure is waited out like any other of the server's."""
        days: dict[type[LogEvent], set[date]] = {}
        for row in rows:
            days.setdefault(type(row.event), set()).add(row.event.created_at.date())
        for struct, of_table in days.items():
            try:
                self._make_days(struct, of_table)
            except (psycopg.Error, ValueError) as exc:
                self._patience.wait(sentence(exc))
