"""Units of measure that contracts may convert between: exact factors, from the definitions of each unit.

One table says what a unit is worth in the base of its quantity. Temperatures have a zero of their own as well.
"""

from __future__ import annotations

from fractions import Fraction

_UNITS: dict[str, dict[str, str]] = {
    "money": {"cents": "1/100", "units": "1", "thousands": "1000", "millions": "1000000"},
    "share": {"permille": "1/1000", "percent": "1/100", "ratio": "1"},
    "mass": {"mg": "1/1000000", "g": "1/1000", "kg": "1", "t": "1000", "oz": "0.028349523125", "lb": "0.45359237"},
    "length": {
        "mm": "1/1000", "cm": "1/100", "m": "1", "km": "1000",
        "in": "0.0254", "ft": "0.3048", "yd": "0.9144", "mi": "1609.344",
    },
    "volume": {"ml": "1/1000", "cl": "1/100", "l": "1", "m3": "1000", "gal": "3.785411784"},
    "time": {"ms": "1/1000", "s": "1", "min": "60", "h": "3600", "d": "86400"},
    "data": {"B": "1", "kB": "1000", "MB": "1000000", "GB": "1000000000", "KiB": "1024", "MiB": "1048576"},
    "energy": {"J": "1", "kJ": "1000", "Wh": "3600", "kWh": "3600000", "kcal": "4184"},
    "temperature": {"K": "1", "C": "1", "F": "5/9"},
}  # fmt: skip
_ZEROS = {"C": Fraction("273.15"), "F": Fraction("459.67") * Fraction(5, 9)}
_QUANTITY = {unit: quantity for quantity, units in _UNITS.items() for unit in units}
KNOWN = tuple(_QUANTITY)
"""Every unit's name."""


def conversion(of: str, into: str) -> tuple[Fraction, Fraction]:
    """(factor, offset), so that a value in `into` is the value in `of` times the factor plus the offset.

    Raises:
        ValueError: an unknown unit, or units of different quantities; the message says which are known.
    """
    for unit in (of, into):
        if unit not in _QUANTITY:
            raise ValueError(f"unit {unit!r} is unknown; known are {', '.join(KNOWN)}")
    quantity = _QUANTITY[of]
    if quantity != _QUANTITY[into]:
        raise ValueError(f"{of} measures {quantity}, {into} measures {_QUANTITY[into]}: no conversion between them")
    units = _UNITS[quantity]
    worth = Fraction(units[into])
    zero = _ZEROS.get(of, Fraction()) - _ZEROS.get(into, Fraction())
    return Fraction(units[of]) / worth, zero / worth
