"""How many examples a property draws: the profiles, and the parts of them that costly properties draw.

CONTRIBUTING.md has these numbers as a table, and a test compares the two.
"""

from typing import Any

from hypothesis import settings

PROFILES: dict[str, dict[str, Any]] = {
    "dev": {"max_examples": 30},
    "ci": {"max_examples": 60, "derandomize": True, "print_blob": True},
    "intense": {"max_examples": 2000},
}
# What one example takes, about: hundredths of a second; tenths; and seconds, which is what compiling takes.
PARTS = {"some": 4, "few": 12, "rare": 33}
LEAST = 3


def examples(part: str, whole: int | None = None) -> int:
    """The number of examples under the profile that is loaded, or under one of ``whole`` examples."""
    return max(LEAST, (whole or settings().max_examples) // PARTS[part])


def some(*parent: settings, **options: Any) -> settings:
    """For derivations, loops run as checked source, pictures."""
    return settings(*parent, max_examples=examples("some"), **options)


def few(*parent: settings, **options: Any) -> settings:
    """For all oracles at once, exact arithmetic, and compositions of what is drawn fully elsewhere."""
    return settings(*parent, max_examples=examples("few"), **options)


def rare(*parent: settings, **options: Any) -> settings:
    """For what is compiled for each example."""
    return settings(*parent, max_examples=examples("rare"), **options)
