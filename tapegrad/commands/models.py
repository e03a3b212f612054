"""Character models of the command line: made from settings, kept in files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tapegrad.cells import Cell, Stacked, cells

from .. import pytree
from ..errors import FileError, OptionError, TapegradError
from ..tasks.text import Vocabulary
from ..training.char_model import CharModel
from ..training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from ..training.optimizers import Optimizer
from ..training.state import Best, TrainingState
from .user_cells import user_cell

KIND = "character model"
DTYPE = np.float32


@dataclass(frozen=True)
class Settings:
    """What a training run is, apart from its text; it is stored with the model.

    Attributes
    ----------
    cell : str
        The name of a registered cell, or ``module:Class``.
    layers, hidden, embedding, sequence, batch, seed : int
    learning_rate, clip : float
    """

    cell: str = "gru"
    layers: int = 1
    hidden: int = 256
    embedding: int = 64
    sequence: int = 64
    batch: int = 32
    seed: int = 0
    learning_rate: float = 4e-3
    clip: float = 1.0


#: What a run may change when it is resumed; everything else is what the run is.
CHANGEABLE = ("learning_rate", "clip")
SIZES = ("layers", "hidden", "embedding", "sequence", "batch")


def build(settings: Settings, vocabulary_size: int) -> CharModel:
    """The model of these settings.

    Raises
    ------
    OptionError
        The cell is unknown or cannot be made with these sizes, or the model is too large for this machine.
    """
    kind, layers, width = cell_class(settings.cell), [], settings.embedding
    for _ in range(settings.layers):
        cell = _make(kind, settings.cell, width, settings.hidden)
        layers.append(cell)
        width = _output_size(cell, settings.cell, width)
    model = CharModel(vocabulary_size, settings.embedding, Stacked(tuple(layers)), width)
    _check_memory(model, settings)
    return model


def cell_class(name: str) -> type[Cell]:
    """The registered cell of this name, in any case; or the class that ``module:Class`` names.

    Raises
    ------
    OptionError
        There is none, or it is not a cell.
    """
    if ":" in name:
        return _imported(name)
    known = {cls.__name__.lower(): cls for cls in cells() if _takes_sizes(cls)}
    if name.lower() not in known:
        raise OptionError(f"cell {name!r} is unknown; choose one of {', '.join(sorted(known))}, or give module:Class")
    return known[name.lower()]


def arrays_like(model: CharModel) -> Any:
    """Parameters of the model's shapes and dtype, without memory of their own."""
    return pytree.map(lambda parameter: np.broadcast_to(DTYPE(0), parameter.shape), model.parameters())


@dataclass(frozen=True)
class SavedModel:
    """A character model that was read from a file."""

    checkpoint: Checkpoint
    settings: Settings
    vocabulary: Vocabulary
    model: CharModel

    @property
    def params(self) -> Any:
        """The parameters to use, the best of the run; checked against the model."""
        return self.checkpoint.tree("params", arrays_like(self.model))

    def training_state(self, optimizer: Optimizer) -> TrainingState:
        """Where its training stands.

        Raises
        ------
        FileError
            The file is damaged, or holds the run of another optimiser.
        """
        found, params = self.checkpoint, self.params
        carry = self.model.initial_state(self.settings.batch, DTYPE)
        like = TrainingState.start(arrays_like(self.model), optimizer, carry)
        try:
            step, told = int(found.config["step"]), found.config.get("best")
            best = None if told is None else Best(params, float(told["held_out"]), int(told["step"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{found.path!r} is damaged: its configuration lacks or misstates {error}") from error
        if best is not None and best.step != step:
            params = found.tree("last", like.params)
        return TrainingState(
            params, found.tree("optimizer", like.opt_state), found.tree("carry", like.carry), step, best
        )


def save_model(path: str | os.PathLike[str], state: TrainingState, config: Mapping[str, Any]) -> None:
    """Write a run's best parameters, which are the model, and what the run needs in order to go on.

    Parameters
    ----------
    path : str or path
    state : TrainingState
    config : mapping
        What else the file says of the run.

    Raises
    ------
    FileError
        The file cannot be written.
    """
    best = state.best
    trees = {"params": state.params, "optimizer": state.opt_state, "carry": state.carry}
    if best is not None and best.step != state.step:
        trees |= {"params": best.params, "last": state.params}
    told = None if best is None else {"held_out": best.held_out, "step": best.step}
    save_checkpoint(path, trees, {"kind": KIND, **config, "step": state.step, "best": told})


def load_model(path: str | os.PathLike[str], cell: str | None = None) -> SavedModel:
    """Read a model that ``tapegrad train --save`` wrote.

    Parameters
    ----------
    path : str or path
    cell : str, optional
        ``module:Class``, when the model has a cell of the user's own. It must be named again: a file
        does not decide which code is imported.

    Raises
    ------
    FileError
        The file is damaged, foreign, or another kind of checkpoint.
    OptionError
        ``cell`` is not the model's cell, or is missing.
    """
    checkpoint = load_checkpoint(path)
    config = checkpoint.config
    if config.get("kind") != KIND:
        raise FileError(f"{checkpoint.path!r} is no {KIND} but a checkpoint of another kind: {config.get('kind')!r}")
    try:
        settings, vocabulary = _settings(config["settings"]), Vocabulary(config["vocabulary"])
    except (KeyError, TypeError, ValueError) as error:
        raise FileError(f"{checkpoint.path!r} is damaged: its configuration lacks or misstates {error}") from error
    if cell is not None and cell.lower() != settings.cell.lower():
        raise OptionError(f"--cell {cell}: the model in {checkpoint.path!r} has the cell {settings.cell}")
    if cell is None and ":" in settings.cell:
        raise OptionError(
            f"the model in {checkpoint.path!r} has a cell of your own; "
            f"give --cell {settings.cell} to let it be imported"
        )
    return SavedModel(checkpoint, settings, vocabulary, build(settings, len(vocabulary)))


def _settings(stored: Mapping[str, Any]) -> Settings:
    values = {field.name: stored[field.name] for field in dataclasses.fields(Settings)}
    for name, default in dataclasses.asdict(Settings()).items():
        if type(values[name]) is not type(default) or (name in SIZES and values[name] < 1):
            raise ValueError(name)
    return Settings(**values)


def _takes_sizes(cls: type[Cell]) -> bool:
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if not {"input_size", "hidden_size"} <= fields.keys():
        return False
    others = [field for name, field in fields.items() if name not in ("input_size", "hidden_size")]
    missing = dataclasses.MISSING
    return all(field.default is not missing or field.default_factory is not missing for field in others)


def _imported(name: str) -> type[Cell]:
    found = user_cell("cell", name)
    if not _takes_sizes(found):
        raise OptionError(f"cell {name}: expected options input_size and hidden_size, and defaults for all others")
    return found


def _make(kind: Callable[..., Cell], name: str, width: int, hidden: int) -> Cell:
    try:
        return kind(input_size=width, hidden_size=hidden)
    except TapegradError:
        raise
    except Exception as error:  # a user's __post_init__ can raise anything
        raise OptionError(f"cell {name}: cannot be made: {type(error).__name__}: {error}") from error


def _output_size(cell: Cell, name: str, width: int) -> int:
    """The width of the cell's output, found by one step on zeros if the cell does not tell it."""
    told = getattr(cell, "output_size", None)
    if told is not None:
        return int(told)
    params = pytree.map(lambda parameter: np.zeros(parameter.shape, DTYPE), cell.parameters())
    try:
        _, y = cell.step(params, cell.initial_state(1, DTYPE), np.zeros((1, width), DTYPE))
        rows, size = y.shape
    except TapegradError:
        raise
    except Exception as error:  # a user's step can raise anything
        raise OptionError(f"cell {name}: its step fails on zeros: {type(error).__name__}: {error}") from error
    if rows != 1 or size < 1:
        raise OptionError(f"cell {name}: its output has shape {y.shape} for a batch of 1; expected (1, width)")
    return int(size)


def _check_memory(model: CharModel, settings: Settings) -> None:
    """Refuse a model that cannot fit, before the operating system has to kill the process."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    # Parameters, the best so far, gradients, two moments and their successors; what a unit keeps at each step.
    rows = settings.sequence * settings.batch
    numbers = 7 * model.parameter_count + rows * (8 * settings.layers * settings.hidden + 3 * model.vocabulary_size)
    needed, present = 4 * numbers, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > present:
        raise OptionError(
            f"this model needs about {needed / 1e9:,.0f} GB to train, the machine has {present / 1e9:,.0f} GB; "
            "make --hidden, --layers, --embedding, --batch or --sequence smaller"
        )
