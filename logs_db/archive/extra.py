"""The packages that only an archive needs."""

import importlib
from typing import Any

from logs_db.archive.errors import ArchiveError


def load(module: str) -> Any:
    """
    Import *module*, one of pyarrow, DuckDB and s3fs or a part of them.

    Raises:
        ArchiveError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise ArchiveError(
            f"The archive needs {module.partition('.')[0]}, which is not installed ({exc}). "
            "Nothing was changed. Install the extra: pip install 'headhunter[archive]'."
        ) from exc
