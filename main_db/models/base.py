"""What all tables of the business database share: one MetaData, constraint names, key and clock columns."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from sqlalchemy import DateTime, Enum, FetchedValue, MetaData, func, text
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

EMAIL_SHAPE = "email ~ '^[^@[:space:]]+@[^@[:space:]]+$'"


class MainBase(DeclarativeBase):
    """
    The root of the business database's models, and of no others.

    The logs database has a root and a MetaData of its own: neither environment can see, compare or drop the
    other's tables.
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


UuidKey = Annotated[
    UUID,
    mapped_column(
        primary_key=True, server_default=text("gen_random_uuid()"), comment="Key; random, made by the database"
    ),
]

CreatedAt = Annotated[
    datetime,
    mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        comment="UTC, by the database's clock: start of the transaction that inserted the row",
    ),
]

UpdatedAt = Annotated[
    datetime,
    mapped_column(
        DateTime(timezone=True),
        server_default=func.now(),
        # A trigger sets it on every UPDATE, whoever sends it: see the first revision.
        server_onupdate=FetchedValue(),
        comment="UTC, by the database's clock: start of the transaction that last changed the row, set by a trigger",
    ),
]


def one_of(values: type[StrEnum], name: str, length: int = 20) -> Enum:
    """
    A text column that holds one of *values*, kept so by a CHECK called ``ck_<table>_<name>``.

    A CHECK and no PostgreSQL enum type: a value can be added and taken away in a transaction, and a dropped table
    leaves no type behind.
    """
    return Enum(
        values,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )
