"""Telling the data's faults from the server's."""

import psycopg

from migrator.classifier import ErrorClass, classify

DATA_SQLSTATE_CLASSES = ("22", "23", "54", "P0")
"""Data exceptions, integrity violations, limits of the server that a row exceeds, what a trigger raised."""

LEDGER_KEY = "pk_ledger_entries"


def is_data_error(error: psycopg.Error) -> bool:
    """Whether a row is at fault, so that writing it again will not help and writing the others will."""
    if error.sqlstate is None and isinstance(error, psycopg.DataError):
        return True  # the driver's own word: it cannot send such a value, so the server never saw it
    if (error.sqlstate or "")[:2] not in DATA_SQLSTATE_CLASSES or is_entry_written(error):
        return False
    return classify(error, writing=True) is ErrorClass.PERMANENT


def is_entry_written(error: psycopg.Error) -> bool:
    """Whether another worker has just committed the same stream entry, which the ledger's key tells."""
    return isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name == LEDGER_KEY
