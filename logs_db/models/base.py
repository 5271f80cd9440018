"""What all tables of the logs database share: one MetaData and the names of constraints."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class LogsBase(DeclarativeBase):
    """
    The root of the logs database's models, and of no others.

    The business database has a root and a MetaData of its own: neither environment can see, compare or drop the
    other's tables.
    """

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
