"""``python -m tests.primitives``: how many primitives each property is tried on, and on how many examples."""

from hypothesis import settings

from tests.conftest import PROFILES
from tests.primitives.properties import PROPERTIES, properties_of
from tests.specs import SPECS


def table() -> str:
    lines = [f"{'property':64} {'primitives':>10}"]
    lines += [f"{made!s:64} {sum(map(made.applies, SPECS.values())):10}" for made in PROPERTIES]
    pairs = sum(len(properties_of(spec)) for spec in SPECS.values())
    lines.append(f"{len(SPECS)} primitives, {len(PROPERTIES)} properties, {pairs} pairs; examples of each pair:")
    lines += [f"{name:64} {settings.get_profile(name).max_examples:10}" for name in PROFILES]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
