"""``python -m tests.primitives``: how many primitives each property is tried on, and on how many examples."""

from tests.primitives.properties import PROPERTIES, properties_of
from tests.specs import SPECS
from tests.strategies.effort import PROFILES


def table() -> str:
    lines = [f"{'property':64} {'primitives':>10}"]
    lines += [f"{made!s:64} {sum(map(made.applies, SPECS.values())):10}" for made in PROPERTIES]
    pairs = sum(len(properties_of(spec)) for spec in SPECS.values())
    lines.append(f"{len(SPECS)} primitives, {len(PROPERTIES)} properties, {pairs} pairs; examples of each pair:")
    lines += [f"{name:64} {profile['max_examples']:10}" for name, profile in PROFILES.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
