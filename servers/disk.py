"""Names that last: a file's content can be on disk while the folder that names it is not."""

import os
from pathlib import Path


def rename_durably(source: Path, target: Path) -> None:
    """Give *source* the name *target* in the same folder, and return when the disk has it."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
