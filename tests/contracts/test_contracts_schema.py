"""Columns are explained, events match the tables they end in, HEAD.txt names Alembic's single head."""

import re
import types
import typing
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
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


def field_type(annotation: object) -> type:
    """The type of an event's field, None taken away."""
    if not isinstance(annotation, types.UnionType):
        return annotation
    (only,) = (part for part in typing.get_args(annotation) if part is not types.NoneType)
    return only


def differences(event: type[msgspec.Struct], table: Table) -> list[str]:
    """Where the fields of *event* and the columns of *table* part: name, place, type, nullability."""
    fields = [
        (field.name, field_type(field.type), field.type is not field_type(field.type))
        for field in msgspec.structs.fields(event)
    ]
    columns = [(column.name, value_type(column), column.nullable) for column in table.columns]
    pairs = [
        f"field {field} is column {column}" for field, column in zip(fields, columns, strict=False) if field != column
    ]
    rest = fields[len(columns) :] or columns[len(fields) :]
    return pairs + [f"{name} has no counterpart" for name, _, _ in rest]


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
    ("environment", "metadata"), zip(ENVIRONMENTS, [MainBase.metadata, LogsBase.metadata], strict=True)
)
def test_importing_the_models_registers_every_table(environment, metadata):
    assert written_table_names(environment.folder / "models") == set(metadata.tables)


def test_a_model_that_nobody_imports_is_found(tmp_path):
    (tmp_path / "planted.py").write_text('class Planted(MainBase):\n    __tablename__ = "planted"\n')

    assert written_table_names(tmp_path) == {"planted"}


@pytest.mark.parametrize(("event", "table"), EVENTS, ids=["system_log", "llm_log"])
def test_the_fields_of_an_event_are_the_columns_in_copy_order(event, table):
    assert differences(event, table) == []


def test_a_field_of_another_type_is_the_one_difference():
    fields = [
        (field.name, float | None if field.name == "latency_ms" else field.type, None)
        for field in msgspec.structs.fields(LlmLogEvent)
    ]
    changed = msgspec.defstruct("Changed", fields)

    (difference,) = differences(changed, LlmLog.__table__)
    assert "latency_ms" in difference


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
def test_each_environment_refuses_the_others_version_table(environment):
    others = {other.version_table for other in ENVIRONMENTS if other is not environment}

    assert environment.version_table not in others
    assert set(environment.foreign_version_tables) >= others
