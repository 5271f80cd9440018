"""Random passwords of servers, kept beside their data so that they survive a restart."""

import json
import os
import secrets
from pathlib import Path

from servers.disk import rename_durably

_RANDOM_BYTES = 24


def write_private(path: Path, text: str) -> None:
    """Write *text* to *path*, readable by its owner only from the first byte on, whole or not at all, and on disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    rename_durably(draft, path)


def kept_passwords(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return one password for each of *names*, made at the first call and read from *path* (0600) ever after."""
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: secrets.token_urlsafe(_RANDOM_BYTES) for name in missing}
        write_private(path, json.dumps(kept))
    return {name: kept[name] for name in names}
