#!/usr/bin/env python3
"""
Write what the documents say about the code: docs/data-dictionary.md, docs/verdicts.md and sections of README.md.

``python scripts/generate_docs.py`` writes them; ``--check`` writes nothing and exits 1 where one is out of date.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from pathlib import Path

from documents.commands import commands_section
from documents.settings import settings_section
from documents.tables import data_dictionary, tables_section
from documents.verdicts import verdicts_document

ROOT = Path(__file__).resolve().parents[1]
DICTIONARY = Path("docs/data-dictionary.md")
VERDICTS = Path("docs/verdicts.md")
README = Path("README.md")
COMMAND = "python scripts/generate_docs.py"

SECTIONS: dict[str, Callable[[], str]] = {
    "tables": tables_section,
    "settings": settings_section,
    "commands": commands_section,
}


def with_sections(readme: str) -> str:
    """*readme* with what stands between its markers written anew."""
    for name, section in SECTIONS.items():
        marked = re.compile(rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        found = marked.search(readme)
        if found is None:
            raise LookupError(f"README.md has no lines <!-- generated: {name} --> and, below it, <!-- end -->")
        before, after = readme[: found.end(1)], readme[found.start(2) :]
        readme = f"{before}{section()}\n{after}"
    return readme


def documents() -> dict[Path, str]:
    """Every generated document: its path from the root and what it should hold."""
    return {
        DICTIONARY: data_dictionary(),
        VERDICTS: verdicts_document(),
        README: with_sections((ROOT / README).read_text(encoding="utf-8")),
    }


def difference(path: Path, wanted: str) -> str:
    """How the file at *path* differs from what it should hold; empty where it does not."""
    file = ROOT / path
    held = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = difflib.unified_diff(held.splitlines(), wanted.splitlines(), str(path), "generated", lineterm="")
    return "\n".join(lines)


def main() -> int:
    """Write the documents, or only check them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a document is out of date")
    check = parser.parse_args().check
    stale = 0
    for path, wanted in documents().items():
        found = difference(path, wanted)
        stale += bool(found)
        if found and check:
            print(f"{path} is out of date; run: {COMMAND}\n{found}")
        elif found:
            (ROOT / path).write_text(wanted, encoding="utf-8")
            print(f"{path} written")
    return int(check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
