"""What a property draws, noted once and drawn again for each mutant."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.primitives.flat import FlatCall
from tests.primitives.properties import Property
from tests.specs import SPECS

DRAWS = 10  # draws of each property that a mutant meets, if nothing else has caught it


class Recording:
    """Hypothesis's ``data``, with what it draws noted down."""

    def __init__(self, data: Any):
        self.data, self.values = data, []

    def draw(self, strategy: Any) -> Any:
        self.values.append(self.data.draw(strategy))
        return self.values[-1]


class Replayed:
    """The same draws again."""

    def __init__(self, values: list):
        self.values = iter(values)

    def draw(self, strategy: Any) -> Any:
        return next(self.values)


def hold(made: Property, row: str, draws: list) -> None:
    """Whether a property holds, of the call that was drawn first."""
    data = Replayed(draws)
    made.holds(SPECS[row], FlatCall(SPECS[row], data.draw(None)), data)


def collected(run: Callable[[Recording], Any]) -> list[list]:
    """What ``run`` draws, in DRAWS runs that are always the same."""
    found: list[list] = []

    @settings(max_examples=DRAWS, database=None, derandomize=True, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def collect(data: Any) -> None:
        recording = Recording(data)
        run(recording)
        found.append(recording.values)

    collect()
    return found


@cache
def of_property(made: Property, row: str) -> list[list]:
    """The call that a property is held for, and what else it draws."""
    spec = SPECS[row]
    return collected(lambda data: made.holds(spec, FlatCall(spec, data.draw(spec.calls)), data))
