"""How many examples a costly property draws: a part of what the profile says, so that a profile scales all of them.

Other properties draw as many as the profile says (``tests/conftest.py``).
"""

from typing import Any

from hypothesis import settings

# What one example takes, about: hundredths of a second; tenths; and seconds, which is what compiling takes.
PARTS = {"some": 4, "few": 12, "rare": 33}
LEAST = 3


def examples(part: str) -> int:
    """The number of examples under the profile that is loaded."""
    return max(LEAST, settings().max_examples // PARTS[part])


def some(*parent: settings, **options: Any) -> settings:
    """For derivations, loops run as checked source, pictures."""
    return settings(*parent, max_examples=examples("some"), **options)


def few(*parent: settings, **options: Any) -> settings:
    """For all oracles at once, and exact arithmetic."""
    return settings(*parent, max_examples=examples("few"), **options)


def rare(*parent: settings, **options: Any) -> settings:
    """For what is compiled for each example."""
    return settings(*parent, max_examples=examples("rare"), **options)
