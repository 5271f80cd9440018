"""The little Markdown that the documents need."""

import re
from collections.abc import Iterable

NOTHING = "-"


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; whatever would end a cell early is escaped."""
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link(path: str | None, *, text: str | None = None, up: str = "") -> str:
    """A link to the file at *path*, a path from the root; *up* leads there from the document's folder."""
    return f"[{text or path}]({up}{path})" if path else NOTHING


def sentence(text: str) -> str:
    """*text* as a sentence: a capital first, a full stop last."""
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else NOTHING


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring, on one line."""
    paragraph = (text or "").strip().split("\n\n")[0]
    return sentence(re.split(r"(?<=[.!?])\s", " ".join(paragraph.split()))[0])
