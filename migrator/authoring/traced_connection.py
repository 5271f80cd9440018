"""A psycopg connection that tells somebody of each statement and of each end of a transaction."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, Self

import psycopg
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from psycopg import Transaction


class Observer(Protocol):
    """Who is told."""

    def before(self, connection: psycopg.Connection[Any], statement: str) -> None:
        """Be told of a statement that is about to run."""

    def after(self, connection: psycopg.Connection[Any], error: BaseException | None) -> None:
        """Be told that it ended; the transaction is still open, if there is one."""

    def ended(self, connection: psycopg.Connection[Any]) -> None:
        """Be told that the transaction ended and its locks are free."""


class TracedCursor(psycopg.Cursor[Any]):
    """Tells its connection's observer of each statement."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run one statement; see psycopg."""
        observer = self._observer()
        if observer is None:
            return super().execute(query, params, **options)
        observer.before(self.connection, _text(query, self.connection))
        try:
            super().execute(query, params, **options)
        except BaseException as error:
            observer.after(self.connection, error)
            raise
        observer.after(self.connection, None)
        return self

    def executemany(self, query: Any, params_seq: Iterable[Any], *, returning: bool = False) -> None:
        """Run a statement for many rows; see psycopg."""
        observer = self._observer()
        if observer is not None:
            observer.before(self.connection, _text(query, self.connection))
        super().executemany(query, params_seq, returning=returning)
        if observer is not None:
            observer.after(self.connection, None)

    def _observer(self) -> Observer | None:
        return getattr(self.connection, "observer", None)


class TracedConnection(psycopg.Connection[Any]):
    """Tells its `observer`, once there is one."""

    observer: Observer | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = TracedCursor

    def commit(self) -> None:
        """End the transaction; see psycopg."""
        super().commit()
        if self.observer is not None:
            self.observer.ended(self)

    def rollback(self) -> None:
        """End the transaction; see psycopg."""
        super().rollback()
        if self.observer is not None:
            self.observer.ended(self)

    @contextmanager
    def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> Iterator[Transaction]:
        """Run a block as a transaction or a savepoint; see psycopg."""
        try:
            with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
        finally:
            if self.observer is not None and self.info.transaction_status == TransactionStatus.IDLE:
                self.observer.ended(self)


def _text(query: Any, connection: psycopg.Connection[Any]) -> str:
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    return str(query.as_string(connection)) if hasattr(query, "as_string") else str(query)
