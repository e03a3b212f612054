"""What a training run is at a moment, and what it tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .optimizers import Optimizer

__all__ = ["Best", "Fit", "Report", "TrainingState"]


@dataclass(frozen=True)
class Best:
    """The parameters with the lowest held-out value so far.

    Attributes
    ----------
    params : pytree
    held_out : float
    step : int
        After how many updates.
    """

    params: Any
    held_out: float
    step: int


@dataclass(frozen=True)
class TrainingState:
    """Everything that a training run needs in order to go on.

    Attributes
    ----------
    params : pytree
    opt_state : pytree
        From the optimiser's ``init`` or ``update``.
    carry : pytree or None
        What one batch hands to the next, such as the cells' state in truncated BPTT.
    step : int
        The number of updates made.
    best : Best or None
        None before the first evaluation.
    """

    params: Any
    opt_state: Any
    carry: Any = None
    step: int = 0
    best: Best | None = None

    @classmethod
    def start(cls, params: Any, optimizer: Optimizer, carry: Any = None) -> TrainingState:
        """The state before the first step."""
        return cls(params, optimizer.init(params), carry)


@dataclass(frozen=True)
class Report:
    """What ``on_step`` of :func:`fit` is told after each step.

    Attributes
    ----------
    state : TrainingState
        After the step.
    loss : float
        Of this step's batch, before the update.
    gradient_norm : float
        The global norm before clipping.
    held_out : float or None
        The evaluation, after the steps that were followed by one.
    seconds : float
        Since the loop began.
    """

    state: TrainingState
    loss: float
    gradient_norm: float
    held_out: float | None
    seconds: float


@dataclass
class Fit:
    """What :func:`fit` returns.

    Attributes
    ----------
    state : TrainingState
    losses : list of float
        One for each step that was made.
    evaluations : list of (int, float)
        (updates made, held-out value).
    seconds : float
    """

    state: TrainingState
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
