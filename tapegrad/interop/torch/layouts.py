"""How torch's recurrent layers lay out their arrays, and which network of cells each layer is.

torch's ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU`` hold, for each layer and direction, ``weight_ih`` (gates * H, input) and
``weight_hh`` (gates * H, output) with the gates one below the other, two biases (gates * H,), and with a projection
``weight_hr`` (P, H). Source: the documentation of these classes, PyTorch 2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...cells import GRU, LSTM, Bidirectional, Cell, Elman, Layer, ProjectedLSTM, Sequential, Stacked
from ...errors import OptionError


class Kind(NamedTuple):
    """A kind of recurrent layer of torch.

    Attributes
    ----------
    name : str
        Of the class in ``torch.nn``.
    gates : str
        Their letters in the cells here, in torch's order.
    apart : str
        The gates that keep their second bias.
    activation : str
        Of ``nn.RNN``.
    """

    name: str
    gates: str
    apart: str = ""
    activation: str = ""


KINDS = {
    "RNN_TANH": Kind("RNN", "h", activation="tanh"),
    "RNN_RELU": Kind("RNN", "h", activation="relu"),
    "LSTM": Kind("LSTM", "ifgo"),
    "GRU": Kind("GRU", "rzn", apart="n"),
}


class Sizes(NamedTuple):
    """Of a recurrent layer of torch; ``projection`` is 0 for none."""

    kind: Kind
    input: int
    hidden: int
    projection: int = 0
    layers: int = 1
    directions: int = 1

    @property
    def output(self) -> int:
        """What one direction gives."""
        return self.projection or self.hidden

    def shapes(self, bias: bool) -> dict[str, tuple[int, ...]]:
        """The arrays by name, in torch's order."""
        rows, shapes = len(self.kind.gates) * self.hidden, {}
        for layer in range(self.layers):
            wide = self.output * self.directions if layer else self.input
            for suffix in suffixes(layer, self.directions):
                shapes["weight_ih" + suffix] = (rows, wide)
                shapes["weight_hh" + suffix] = (rows, self.output)
                if bias:
                    shapes["bias_ih" + suffix] = shapes["bias_hh" + suffix] = (rows,)
                if self.projection:
                    shapes["weight_hr" + suffix] = (self.projection, self.hidden)
        return shapes

    def cell(self, layer: int) -> Cell:
        """One direction of one layer."""
        wide = self.output * self.directions if layer else self.input
        if self.kind.activation:
            return Elman(wide, self.hidden, self.kind.activation)
        if self.kind.name == "GRU":
            return GRU(wide, self.hidden, reset_after=True)
        return ProjectedLSTM(wide, self.hidden, self.projection) if self.projection else LSTM(wide, self.hidden)

    def network(self) -> Layer:
        """All layers and directions: a cell, a stack of cells, or bidirectional layers one after the other."""
        cells = [self.cell(layer) for layer in range(self.layers)]
        if self.directions == 1:
            return cells[0] if self.layers == 1 else Stacked(tuple(cells))
        both = [Bidirectional(cell, cell) for cell in cells]
        return both[0] if self.layers == 1 else Sequential(tuple(both))


def suffixes(layer: int, directions: int) -> list[str]:
    """What the names of a layer's arrays end in, for each direction."""
    return [f"_l{layer}", f"_l{layer}_reverse"][:directions]


class Part(NamedTuple):
    """One direction of one layer: the end of torch's names, the cell, and where its parameters and state lie."""

    suffix: str
    cell: Layer
    keys: tuple[str, ...]
    places: tuple[int, ...]

    def params(self, tree: Any) -> Any:
        for key in self.keys:
            tree = tree[key]
        return tree

    def state(self, tree: Any) -> Any:
        for place in self.places:
            tree = tree[place]
        return tree


def parts(layer: Layer) -> list[Part]:
    """The directions and layers of a network, in torch's order."""
    if isinstance(layer, (Stacked, Sequential)):
        inside = layer.cells if isinstance(layer, Stacked) else layer.layers
        return [part for number, one in enumerate(inside) for part in _directions(one, number, True)]
    return _directions(layer, 0, False)


def _directions(layer: Layer, number: int, within: bool) -> list[Part]:
    keys, places = ((f"layer{number}",), (number,)) if within else ((), ())
    if isinstance(layer, Bidirectional) and layer.merge == "concatenate":
        return [
            Part(f"_l{number}", layer.forward, (*keys, "forward"), (*places, 0)),
            Part(f"_l{number}_reverse", layer.backward, (*keys, "backward"), (*places, 1)),
        ]
    return [Part(f"_l{number}", layer, keys, places)]


def sizes_of(name: str, layer: Layer) -> Sizes:
    """The sizes of the layer of torch that is this network.

    Raises
    ------
    OptionError
        When torch has no such layer.
    """
    found = parts(layer)
    first: Any = found[0].cell
    directions = 2 if found[-1].suffix.endswith("_reverse") else 1
    differs = f"{first!r} is no cell of torch"
    for kind in KINDS.values():
        projection = getattr(first, "projection_size", 0)
        sizes = Sizes(
            kind, getattr(first, "input_size", 0), getattr(first, "hidden_size", 0), projection,
            len(found) // directions, directions,
        )  # fmt: skip
        if min(sizes.input, sizes.hidden) > 0 and projection < sizes.hidden and _same(first, sizes.cell(0)):
            differs = _difference(found, sizes)
            if not differs:
                return sizes
    raise OptionError(
        f"{name}: {layer!r} is no nn.RNN, nn.LSTM or nn.GRU: {differs}. These are Elman with tanh or relu, LSTM, "
        "ProjectedLSTM with a projection below hidden_size and GRU with reset_after=True; in Stacked, or "
        "Bidirectional in Sequential, of one kind and size; tapegrad.interop.torch.module takes any cell"
    )


def _same(cell: Layer, model: Cell) -> bool:
    """Whether a cell is what torch has, whatever its parameters start from."""
    if type(cell) is not type(model):
        return False
    starts = {"forget_bias": model.forget_bias} if isinstance(model, (LSTM, ProjectedLSTM)) else {}
    return replace(cell, **starts) == model  # type: ignore[type-var]


def _difference(found: list[Part], sizes: Sizes) -> str:
    """What is not as in a layer of torch of these sizes; empty when nothing is."""
    wanted = [suffix for layer in range(sizes.layers) for suffix in suffixes(layer, sizes.directions)]
    if [part.suffix for part in found] != wanted:
        return "its layers differ in their directions"
    for number, part in enumerate(found):
        model = sizes.cell(number // sizes.directions)
        if not _same(part.cell, model):
            return f"{part.cell!r} stands where torch has {model!r}"
    return ""


# ---- the arrays of one direction of one layer ----


def to_cell(sizes: Sizes, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of a cell, from torch's arrays under their names without the suffix."""
    kind, recurrent = sizes.kind, "r" if sizes.projection else "h"
    count = len(kind.gates)
    zeros = np.zeros(count * sizes.hidden, arrays["weight_ih"].dtype)
    first, second = (np.split(arrays.get(name, zeros), count) for name in ("bias_ih", "bias_hh"))
    weights = {"x": np.split(arrays["weight_ih"], count), recurrent: np.split(arrays["weight_hh"], count)}
    params = {}
    for number, gate in enumerate(kind.gates):
        for letter, blocks in weights.items():
            params[f"W_{letter}{gate}"] = np.array(blocks[number].T, order="C")
        if gate in kind.apart:
            params[f"b_{gate}"], params[f"b_h{gate}"] = first[number].copy(), second[number].copy()
        else:
            params[f"b_{gate}"] = first[number] + second[number]
    if sizes.projection:
        params["W_hr"] = np.array(arrays["weight_hr"].T, order="C")
    return params


def from_cell(sizes: Sizes, params: dict[str, np.ndarray], bias: bool) -> dict[str, np.ndarray]:
    """torch's arrays under their names without the suffix; a bias that is one here is written as (bias, 0)."""
    kind, recurrent = sizes.kind, "r" if sizes.projection else "h"

    def below(names: list[str]) -> np.ndarray:
        return np.ascontiguousarray(np.concatenate([np.asarray(params[name]).T for name in names]))

    arrays = {
        "weight_ih": below([f"W_x{gate}" for gate in kind.gates]),
        "weight_hh": below([f"W_{recurrent}{gate}" for gate in kind.gates]),
    }
    if bias:
        arrays["bias_ih"] = below([f"b_{gate}" for gate in kind.gates])
        zeros = np.zeros(sizes.hidden, arrays["bias_ih"].dtype)
        second = [params[f"b_h{gate}"] if gate in kind.apart else zeros for gate in kind.gates]
        arrays["bias_hh"] = np.concatenate(second)
    if sizes.projection:
        arrays["weight_hr"] = np.array(np.asarray(params["W_hr"]).T, order="C")
    return arrays
