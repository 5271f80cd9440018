"""What `headhunter up` was asked for."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StackOptions:
    """How to start the stack."""

    folder: Path
    port: int | None = None
    """Of the API; a free one by default."""
    demo: bool = False
    speed: float = 1.0
    """Of the demo: how many times the recorded pace."""
