"""How many faults were planted: noted at each test, added up at the end of the run, in one process or in several."""

from __future__ import annotations

from collections import Counter
from typing import Any

NAME = "planted fault"


def noted(node: Any, of: str, kind: str, equivalent: bool) -> None:
    """Note a fault that was caught, or one that is listed as equivalent, with the test that planted it."""
    node.user_properties.append((NAME, (of, kind, "equivalent" if equivalent else "caught")))


def faults(reporter: Any) -> Counter:
    """What all tests of a run noted, by (of, kind, outcome)."""
    found: Counter = Counter()
    for report in (*reporter.getreports("passed"), *reporter.getreports("failed")):
        if report.when == "call":
            found.update(tuple(value) for name, value in report.user_properties if name == NAME)
    return found


def summary(found: Counter) -> str:
    """One line."""
    caught, equivalent = (sum(n for key, n in found.items() if key[2] == word) for word in ("caught", "equivalent"))
    return (
        f"planted faults: {caught + equivalent:,}, caught {caught:,}, equivalent {equivalent:,} "
        "(listed with reasons in tests/meta)"
    )


def table(found: Counter) -> str:
    """By what is broken and by kind."""
    lines = []
    for title, at in (("broken", 0), ("kind", 1)):
        rows: dict[str, Counter] = {}
        for key, number in found.items():
            rows.setdefault(key[at], Counter())[key[2]] += number
        width = max(map(len, rows), default=0)
        lines.append(f"{title:<{width}}  planted  caught  equivalent")
        for name, counts in sorted(rows.items()):
            lines.append(f"{name:<{width}}  {counts.total():7,}  {counts['caught']:6,}  {counts['equivalent']:10,}")
        lines.append("")
    return "\n".join([*lines, summary(found)])
