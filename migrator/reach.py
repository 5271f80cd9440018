"""The first of the budgets: reaching a server that may be starting, restarting or gone."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from migrator.classifier import ErrorClass, classify, sentence
from migrator.connections import connect
from migrator.errors import PermanentError, TemporaryError
from migrator.urls import without_password

if TYPE_CHECKING:
    from collections.abc import Callable

    from migrator.budgets import Budgets

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """
    A database as one process reaches it, with patience.

    Args:
        name: What people call the database.
        url: Where it is.
        budgets: How often to try.
        application_name: How the server's own views show this process.
    """

    name: str
    url: str
    budgets: Budgets
    application_name: str

    def connect(self, *, autocommit: bool = False) -> psycopg.Connection:
        """
        Return a new connection, trying again while the server is away.

        Raises:
            TemporaryError: It was away in each of the attempts.
            PermanentError: It answered with something that trying again does not change, such as a wrong password.
        """
        return self._patiently(lambda: connect(self.url, application_name=self.application_name, autocommit=autocommit))

    def connect_once(self) -> psycopg.Connection:
        """
        Return a new connection, without patience.

        Raises:
            psycopg.OperationalError: The server could not be reached.
        """
        return connect(self.url, application_name=self.application_name)

    def ask(self, question: Callable[[psycopg.Connection], T]) -> T:
        """
        Return what *question* answers on a new autocommit connection, asked again while the server is away.

        Raises:
            TemporaryError, PermanentError: As `connect`.
        """

        def attempt() -> T:
            with closing(connect(self.url, application_name=self.application_name, autocommit=True)) as connection:
                return question(connection)

        return self._patiently(attempt)

    def _patiently(self, attempt: Callable[[], T]) -> T:
        attempts = Retrying(
            stop=stop_after_attempt(self.budgets.connect_attempts),
            wait=wait_fixed(self.budgets.connect_delay_seconds),
            retry=retry_if_exception(_is_passing),
            before_sleep=self._report,
            reraise=True,
        )
        try:
            return attempts(attempt)
        except psycopg.Error as error:
            where = f"The {self.name} database ({without_password(self.url)})"
            if _is_passing(error):
                tried = f"{self.budgets.connect_attempts} attempts {self.budgets.connect_delay_seconds:g} s apart"
                raise TemporaryError(
                    f"{where} could not be reached{f' in {tried}' if self.budgets.connect_attempts > 1 else ''}: "
                    f"{sentence(error)}. Try again once it answers."
                ) from error
            raise PermanentError(
                f"{where} refused: {sentence(error)}. Trying again will not help; correct the URL or the server."
            ) from error

    def _report(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        logger.warning(
            "the database could not be reached; trying again",
            extra={
                "event": "connect_failed",
                "database": self.name,
                "attempt": state.attempt_number,
                "attempts": self.budgets.connect_attempts,
                "reason": sentence(error) if error else "",
            },
        )


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, psycopg.Error) and classify(error) is ErrorClass.CONNECT_TRANSIENT
