"""Tables as the documents show them: columns and rules from the models, places from their first lines."""

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Constraint, Index, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.schema import AddConstraint, CreateIndex

import logs_db.environment
import main_db.environment
from documents.markdown import NOTHING, link, markdown_table
from logs_db.models import LogsBase
from main_db.models import MainBase
from migrator.environment import Environment

ROOT = Path(__file__).resolve().parents[2]
DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # the library leaves it untyped


@dataclass(frozen=True)
class Database:
    """One of the two databases, as the documents present it."""

    title: str
    environment: Environment
    base: type[DeclarativeBase]


DATABASES = (
    Database("Business database", main_db.environment.ENVIRONMENT, MainBase),
    Database("Logs database", logs_db.environment.ENVIRONMENT, LogsBase),
)


@dataclass(frozen=True)
class Described:
    """A table with the places that belong to it, as paths from the project's root."""

    table: Table
    model: str
    created_by: str
    event: str | None
    api: str | None

    @property
    def revision(self) -> str:
        """The id of the revision that creates the table."""
        return Path(self.created_by).stem.partition("_")[0]


def described_tables(database: Database) -> Iterator[Described]:
    """The tables of *database* in the order in which foreign keys allow to create them."""
    classes = {mapper.local_table: mapper.class_ for mapper in database.base.registry.mappers}
    for table in database.base.metadata.sorted_tables:
        module = sys.modules[classes[table].__module__]
        yield Described(
            table,
            model=str(Path(module.__file__ or "").relative_to(ROOT)),
            created_by=creating_revision(database.environment, table.name),
            event=named_path(module.__doc__, "Event"),
            api=named_path(module.__doc__, "API"),
        )


def named_path(docstring: str | None, label: str) -> str | None:
    """The path behind *label* in a model's first line: ``The ... table.  Event: a/b.py.  API: c/d.py.``."""
    found = re.search(rf"\b{label}: (\S+\.py)\.", docstring or "")
    return found and found[1]


def creating_revision(environment: Environment, table: str) -> str:
    """The first revision of the chain, as a path from the root, that creates *table*."""
    creates = re.compile(rf"create_table\(\s*[\"']{table}[\"']|CREATE TABLE (?:IF NOT EXISTS )?(?:\w+\.)?{table}\b")
    for path in chain(environment):
        if creates.search(path.read_text(encoding="utf-8")):
            return str(path.relative_to(ROOT))
    raise LookupError(f"no revision of the {environment.name} chain creates {table}")


def chain(environment: Environment) -> list[Path]:
    """The revision files of *environment*, from base to head."""
    after: dict[object, tuple[object, Path]] = {}
    for path in (environment.folder / "versions").glob("*.py"):
        values = {
            ast.unparse(node.targets[0]): node.value.value
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        }
        after[values["down_revision"]] = (values["revision"], path)
    files, revision = [], None
    while revision in after:
        revision, path = after[revision]
        files.append(path)
    return files


def default_of(column: Column[object]) -> str:
    """The default that the database fills in, as SQL."""
    default = column.server_default
    argument = getattr(default, "arg", None)
    return f"`{argument}`" if argument is not None else NOTHING


def column_row(column: Column[object]) -> tuple[str, ...]:
    """One line of the dictionary."""
    type_ = column.type.compile(dialect=DIALECT).lower()
    return (
        f"`{column.name}`",
        f"`{type_}`",
        "yes" if column.nullable else "no",
        default_of(column),
        column.comment or "",
    )


def rules_of(table: Table) -> Iterator[str]:
    """The constraints and indexes of *table*, as PostgreSQL is told to make them."""
    yield from sorted(map(constraint_definition, table.constraints))
    yield from sorted(map(index_definition, table.indexes))


def constraint_definition(constraint: Constraint) -> str:
    """What stands in CREATE TABLE for *constraint*."""
    statement = str(AddConstraint(constraint, isolate_from_table=False).compile(dialect=DIALECT))
    return statement.partition(" ADD ")[2]


def index_definition(index: Index) -> str:
    """The statement that makes *index*."""
    return str(CreateIndex(index).compile(dialect=DIALECT))


def dictionary_section(described: Described) -> str:
    """The dictionary's section on one table."""
    table = described.table
    places = " · ".join(
        f"{label} {link(path, text=text, up='../')}"
        for label, path, text in (
            ("Model", described.model, None),
            ("created by", described.created_by, described.revision),
            ("event", described.event, None),
            ("API", described.api, None),
        )
        if path
    )
    columns = markdown_table(("Column", "Type", "Null", "Default", "Meaning"), map(column_row, table.columns))
    rules = "\n".join(f"- `{rule}`" for rule in rules_of(table))
    return f"### {table.name}\n\n{table.comment}.\n\n{places}\n\n{columns}\n\n{rules}\n"


def data_dictionary() -> str:
    """The whole of docs/data-dictionary.md."""
    parts = [
        "# Data dictionary\n",
        "Generated from the comments of the models; the database shows the same in `\\d+`.\n",
    ]
    for database in DATABASES:
        variable = database.environment.url_variables[0]
        parts.append(f"## {database.title}\n\n`{variable}`, version table `{database.environment.version_table}`.\n")
        parts += [dictionary_section(described) for described in described_tables(database)]
    return "\n".join(parts)


def tables_section() -> str:
    """README's table of tables."""
    rows = [
        (
            f"`{found.table.name}`",
            link(found.model),
            link(found.created_by, text=found.revision),
            link(found.event),
            endpoints_of(found),
        )
        for database in DATABASES
        for found in described_tables(database)
    ]
    return markdown_table(("Table", "Model", "Created by", "Event", "Endpoint"), rows)


def endpoints_of(described: Described) -> str:
    """The routes of the table's API module that answer with its rows: those whose path ends in the table's subject."""
    if described.api is None:
        return NOTHING
    module = importlib.import_module(described.api.removesuffix(".py").replace("/", "."))
    subject = Path(described.model).stem.removesuffix("_log")
    paths = [f"`GET {route.path}`" for route in module.router.routes if route.path.endswith(f"/{subject}")]
    if not paths:
        raise LookupError(f"{described.api} has no route that ends in /{subject}")
    return ", ".join(paths)
