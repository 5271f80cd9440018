"""Columns are explained, events match the tables they end in, HEAD.txt names Alembic's single head."""

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from msgspec import inspect
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.dialects.postgresql import JSONB

import logs_db.environment
import main_db.environment
from log_events.llm_log import LlmLogEvent
from log_events.system_log import SystemLogEvent
from logs_db.models import LlmLog, LogsBase, SystemLog
from main_db.models import MainBase

ENVIRONMENTS = [main_db.environment.ENVIRONMENT, logs_db.environment.ENVIRONMENT]
EVENTS = [(SystemLogEvent, SystemLog.__table__), (LlmLogEvent, LlmLog.__table__)]
PYTHON_TYPES = {
    inspect.StrType: str,
    inspect.LiteralType: str,
    inspect.UUIDType: UUID,
    inspect.DateTimeType: datetime,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.DecimalType: Decimal,
    inspect.BoolType: bool,
}
TABLE_NAME = re.compile(r"^    __tablename__ = \"(\w+)\"", re.MULTILINE)


def columns_without_comment(metadata: MetaData) -> list[str]:
    return [
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if not (column.comment or "").strip()
    ]


def written_table_names(folder: Path) -> set[str]:
    """The tables that the modules in *folder* define, whether or not anybody imports them."""
    return {name for path in folder.glob("*.py") for name in TABLE_NAME.findall(path.read_text())}


def value_type(column: Column) -> type:
    """The Python type of what COPY is given for *column*: JSON travels as text, encoded by the producer."""
    return str if isinstance(column.type, JSONB) else column.type.python_type


def value_kind(field: inspect.Field) -> tuple[inspect.Type, bool]:
    """What an event's field holds, None taken away; and whether it may be None."""
    if not isinstance(field.type, inspect.UnionType):
        return field.type, False
    (only,) = (kind for kind in field.type.types if not isinstance(kind, inspect.NoneType))
    return only, True


def fits(kind: inspect.Type, column: Column) -> bool:
    """Whether the codec's limit for a text is the column's."""
    limit = getattr(column.type, "length", None)
    if limit is None:
        return True
    if isinstance(kind, inspect.LiteralType):
        return max(map(len, kind.values)) <= limit
    return kind.max_length == limit


def differences(event: type[msgspec.Struct], table: Table) -> list[str]:
    """Where the fields of *event* and the columns of *table* part: name, place, type, nullability, length."""
    found = []
    fields = inspect.type_info(event).fields
    for field, column in zip(fields, table.columns, strict=False):
        kind, may_be_none = value_kind(field)
        if (field.name, PYTHON_TYPES[type(kind)], may_be_none) != (column.name, value_type(column), column.nullable):
            found.append(f"field {field.name}: {kind} is column {column.name}: {column.type}")
        elif not fits(kind, column):
            found.append(f"field {field.name}: {kind} has another length than column {column.type}")
    rest = list(table.columns)[len(fields) :] or fields[len(table.columns) :]
    return found + [f"{surplus.name} has no counterpart" for surplus in rest]


@pytest.mark.parametrize("metadata", [MainBase.metadata, LogsBase.metadata], ids=["main", "logs"])
def test_every_column_tells_its_unit_and_clock(metadata):
    assert metadata.tables
    assert columns_without_comment(metadata) == []


def test_a_column_without_a_comment_is_found():
    metadata = MetaData()
    Table("planted", metadata, Column("explained", Integer, comment="Rows"), Column("silent", Integer))

    assert columns_without_comment(metadata) == ["planted.silent"]


@pytest.mark.parametrize("metadata", [MainBase.metadata, LogsBase.metadata], ids=["main", "logs"])
def test_every_time_has_a_zone_and_says_whose_clock(metadata):
    times = [
        column for table in metadata.tables.values() for column in table.columns if column.type.python_type is datetime
    ]

    assert times
    assert [f"{column.table.name}.{column.name}" for column in times if not column.type.timezone] == []
    assert [f"{column.table.name}.{column.name}" for column in times if "UTC" not in (column.comment or "")] == []


@pytest.mark.parametrize(
    ("environment", "metadata"), list(zip(ENVIRONMENTS, [MainBase.metadata, LogsBase.metadata], strict=True))
)
def test_importing_the_models_registers_every_table(environment, metadata):
    assert written_table_names(environment.folder / "models") == set(metadata.tables)


def test_a_model_that_nobody_imports_is_found(tmp_path):
    (tmp_path / "planted.py").write_text('class Planted(MainBase):\n    __tablename__ = "planted"\n')

    assert written_table_names(tmp_path) == {"planted"}


@pytest.mark.parametrize(("event", "table"), EVENTS, ids=["system_log", "llm_log"])
def test_the_fields_of_an_event_are_the_columns_in_copy_order(event, table):
    assert differences(event, table) == []


@pytest.mark.parametrize(
    ("name", "planted"), [("latency_ms", float | None), ("latency_ms", int), ("model", str), ("status", datetime)]
)
def test_a_changed_field_is_the_one_difference(name, planted):
    changed = msgspec.defstruct(
        "Changed",
        [(field.name, planted if field.name == name else field.type) for field in msgspec.structs.fields(LlmLogEvent)],
    )

    (difference,) = differences(changed, LlmLog.__table__)
    assert difference.startswith(f"field {name}:")


def test_a_field_too_many_is_found():
    longer = msgspec.defstruct("Longer", [("planted", int | None, None)], bases=(SystemLogEvent,))

    assert differences(longer, SystemLog.__table__) == ["planted has no counterpart"]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_head_txt_names_the_single_head(environment):
    script = ScriptDirectory.from_config(Config(environment.folder / "alembic.ini"))

    assert script.get_heads() == [environment.head]
    assert (environment.folder / "HEAD.txt").read_text() == f"{environment.head}\n"
    assert {revision.revision for revision in script.walk_revisions()} == environment.known_revisions


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_every_revision_has_its_fingerprint(environment):
    stored = {path.stem for path in (environment.folder / "fingerprints").glob("*.json")}

    assert stored == environment.known_revisions, f"run: headhunter db fingerprint {environment.name}"


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment.name)
def test_each_environment_refuses_the_others_version_table(environment):
    others = {other.version_table for other in ENVIRONMENTS if other is not environment}

    assert environment.version_table not in others
    assert set(environment.foreign_version_tables) >= others
