"""Tables for people; programs ask for JSON."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def print_table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print *rows* under *titles*; what is in a cell is text and never markup."""
    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else _plain(cell) for cell in row))
    Console(highlight=False).print(table)


def _plain(cell: object) -> str:
    return str(cell).replace("[", "\\[")
