"""How often the worker's process looks for cycles among its objects."""

import gc

OBJECTS_BETWEEN_LOOKS = 200_000
"""Some batches' worth.  Python's own 700 made it spend half of a batch's time on looking through live events."""


def look_less_often() -> None:
    """Look for cycles once in some batches, and never again among what the start-up made; for the whole process."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, 10, 10)
