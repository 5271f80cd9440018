"""Amounts as PostgreSQL's ``numeric`` surely holds them; one rule for one of them and for a frame's worth."""

from collections.abc import Iterable
from decimal import Clamped, Context, Decimal, DecimalException, InvalidOperation, Overflow, Rounded, Subnormal

MAX_EXPONENT = 1000
"""Amounts beyond ten to this power, or nearer to nothing than its inverse, are no costs."""

MAX_PLACES = 16_383
"""Digits behind the point that ``numeric`` holds. Source: PostgreSQL documentation, 8.1.2."""

# Arithmetic that refuses what does not fit judges an amount in one call; reading its digits takes ten times as long.
_strict = Context(
    prec=MAX_PLACES - MAX_EXPONENT,
    Emin=-MAX_EXPONENT,
    Emax=MAX_EXPONENT,
    traps=[Clamped, InvalidOperation, Overflow, Rounded, Subnormal],
)


def are_storable(amounts: Iterable[Decimal]) -> bool:
    """Whether all *amounts* are finite, of a size that costs have, and of no more digits than ``numeric`` holds."""
    try:
        return all(map(Decimal.is_finite, map(_strict.plus, amounts)))
    except DecimalException:
        return False
