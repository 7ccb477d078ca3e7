"""Where generated people live and how they are reached: towns that do not exist, reserved numbers and domains.

Telephone numbers are those of the 555-0100 to 555-0199 range that is set aside for fiction; mail domains are the
reserved example.com, example.org and example.net. Postcodes lie in the ranges of the states named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_STREETS = """
Oak Maple Cedar Pine Elm Walnut Chestnut Willow Birch Spruce Hickory Sycamore Poplar Main Church School Mill
River Lake Park Spring Highland Ridge Valley Meadow Forest Garden Orchard Prairie Sunset Washington Jefferson
Lincoln Madison Jackson Franklin Monroe Adams Grant Clay Vine Market Court Canal Depot Railroad Liberty Union
Center Front Water Bridge College Prospect Summit Fairview Greenwood Lakeview Woodland Hillcrest Riverside
Locust Magnolia Dogwood Juniper Laurel Holly
"""
STREET_TYPES = np.array(["St", "Ave", "Rd", "Dr", "Ln", "Ct", "Blvd", "Way"], dtype=object)
STREET_WORDS = {"St": "Street", "Ave": "Avenue", "Rd": "Road", "Dr": "Drive", "Ln": "Lane", "Ct": "Court"}
STREETS = np.array(_STREETS.split(), dtype=object)

_TOWN_STARTS = (
    "Maple Cedar Stone Clear Silver Fox Eagle Deer Mill Harper Fallow Amber Copper Linden Pleasant Quarry"
)
_TOWN_ENDS = "Falls Grove Hollow Crossing"
_AREA_CODES = """
513 937 614 859 812 740 567 502 317 330 216 220 234 326 380 419 440 270 364 606 219 260 463 574 765 930 304
681 215 223 267 272 412 445 484 570 610 717 724 814 878 231 248 269 313 517 586 616 734 810 906 947 989 423
615 629 731 865 901 931 240 301 410 443 667 276 434 540 571 703 757 804 252 336 704 743 828 910 919 980 984
229 404 470 478 678 706 762 770 912
"""
DOMAINS = np.array(
    ["example.com", "mail.example.com", "example.net", "inbox.example.net", "example.org", "post.example.org"],
    dtype=object,
)
DOMAIN_WEIGHTS = np.array([0.34, 0.22, 0.16, 0.12, 0.1, 0.06])


@dataclass(frozen=True)
class Towns:
    """Towns side by side: name, state and postcode, with how likely a household lives there."""

    name: np.ndarray
    state: np.ndarray
    postcode: np.ndarray
    weight: np.ndarray


def towns() -> Towns:
    """64 made-up towns in Ohio, Kentucky and Indiana; some have two postcodes."""
    names = [f"{a} {b}" for a in _TOWN_STARTS.split() for b in _TOWN_ENDS.split()]
    rng = np.random.default_rng(2)
    rows = []
    for rank, i in enumerate(rng.permutation(len(names))):
        state, low = (("OH", 45010), ("OH", 45210), ("KY", 41010), ("IN", 47010))[rank % 4]
        codes = [low + rank, low + rank + 64] if rank < 16 else [low + rank]
        rows += [(names[i], state, f"{code:05d}", 1.0 / (rank + 6.0)) for code in codes]
    columns = [np.array(c, dtype=object) for c in zip(*rows, strict=True)]
    share = columns[3].astype(float)
    return Towns(columns[0], columns[1], columns[2], share / share.sum())


def phone_numbers(rng: np.random.Generator, n: int) -> np.ndarray:
    """`n` different ten-digit numbers as text, local area codes first; at most 9,000.

    Raises:
        ValueError: more are asked for than the reserved range holds.
    """
    codes = _AREA_CODES.split()
    if n > 100 * len(codes):
        raise ValueError(f"the reserved range holds {100 * len(codes)} numbers, asked for {n}")
    every = np.array([f"{code}55501{i:02d}" for code in codes for i in range(100)], dtype=object)
    kept = every[: max(n, min(len(every), int(1.15 * n)))]
    return rng.permutation(kept)[:n]
