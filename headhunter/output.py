"""Tables for people; programs ask for JSON."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text


def print_table(titles: Sequence[str], rows: Iterable[Iterable[object]]) -> None:
    """Print *rows* under *titles*; what is in a cell is text, never markup and never a command to the terminal."""
    columns = (Column(_plain(title)) for title in titles)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if cell is None else _plain(cell) for cell in row))
    Console(highlight=False).print(table)


def printable(text: str) -> str:
    """*text* with all that is not for the eye as its code, lines and tabs too: no terminal takes it for a command."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def _plain(cell: object) -> Text:
    # A Text, because rich finds markup and emoji in a str; folded, because what is cut nobody can read.
    return Text("\n".join(printable(line) for line in str(cell).split("\n")), overflow="fold")
