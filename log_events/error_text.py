"""What an exception is called and says, whatever its own code does when asked."""

from log_events.extra_data import shown
from log_events.safe_text import clean_text


def error_name(error: BaseException) -> str:
    """The qualified name of its class, ``package.module.Class``, without ``builtins``."""
    kind = type(error)
    return clean_text(kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}")


def error_message(error: BaseException) -> str:
    """Its text, or a sentence that it has none."""
    try:
        return clean_text(str(error))
    except Exception:  # noqa: BLE001 - foreign code: whatever it raises, the event goes on
        return clean_text(shown(error))
