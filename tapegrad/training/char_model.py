"""A recurrent model of text: an embedding, stacked cells, a linear readout over the next character."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tapegrad.cells import Cell, Input, Linear, Parameter

from ..errors import OptionError
from ..functions import log_softmax, softmax_cross_entropy
from .sampling import sample

__all__ = ["CharModel"]


class CharModel(Cell):
    r"""Predicts each symbol of a sequence from those before it.

    .. math:: x_t = E_{s_t}, \qquad h_t = \mathrm{cell}(h_{t-1}, x_t), \qquad
              p(s_{t+1} \mid s_1 \dots s_t) = \mathrm{softmax}(h_t W_{hy} + b_y)

    Row s of E is what a one-hot vector for s times a matrix would give. As every cell it runs step by step; for
    training, :meth:`logits` looks all symbols up before the loop and reads all states out after it.

    Parameters
    ----------
    vocabulary_size : int
        V, symbols are numbered 0 to V - 1.
    embedding_size : int
        The width of E, the cell's input.
    cell : Cell
        For instance ``Stacked((LSTM(64, 128), LSTM(128, 128)))``; its outputs are one vector a step.
    hidden_size : int
        The width of the cell's outputs.

    References
    ----------
    Mikolov, Karafiat, Burget, Cernocky and Khudanpur, "Recurrent neural network based language model", Interspeech
    2010; over characters Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850.
    """

    vocabulary_size: int
    embedding_size: int
    cell: Cell
    hidden_size: int

    @property
    def output_size(self) -> int:
        return self.vocabulary_size

    @property
    def readout(self) -> Linear:
        """From the cell's output to the logits."""
        return Linear(self.hidden_size, self.vocabulary_size)

    def parameters(self) -> dict[str, Any]:
        return {
            "E": Parameter((self.vocabulary_size, self.embedding_size)),
            "cell": self.cell.parameters(),
            "readout": self.readout.parameters(),
        }

    def state(self) -> Any:
        return self.cell.state()

    def inputs(self) -> Input:
        return Input((), dtype=np.int64)

    def step(self, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
        state, h = self.cell.step(params["cell"], state, params["E"][x])
        return state, h @ params["readout"]["W_hy"] + params["readout"]["b_y"]

    def logits(self, params: Any, state: Any, symbols: np.ndarray, backend: str = "auto") -> tuple[Any, Any]:
        """The state after, and the logits of the symbol that follows each.

        Parameters
        ----------
        params : dict
        state : pytree of arrays (B, ...)
        symbols : array, (T, B), integers
        backend : str

        Returns
        -------
        state : pytree of arrays (B, ...)
        logits : array, (T, B, V)
        """
        state, h = self.cell(params["cell"], params["E"][symbols], state, backend=backend)
        return state, self.readout(params["readout"], h)

    def loss(self, params: Any, batch: tuple[np.ndarray, np.ndarray], state: Any, backend: str = "auto") -> Any:
        """Bits per character, and the state after; what :func:`tapegrad.training.fit` asks for.

        Parameters
        ----------
        params : dict
        batch : (inputs, targets), arrays (T, B) of integers
        state : pytree of arrays (B, ...)
        backend : str

        Returns
        -------
        loss : scalar
        state : pytree of arrays (B, ...)
        """
        inputs, targets = batch
        state, logits = self.logits(params, state, inputs, backend)
        return softmax_cross_entropy(logits, targets) / math.log(2), state

    def bits_per_character(
        self, params: Any, symbols: np.ndarray, history: np.ndarray, *, rows: int = 32, backend: str = "auto"
    ) -> float:
        """The mean of -log2 p over a held-out text, every symbol being predicted once.

        The text is cut into ``rows`` parts of equal length that run side by side. Before its part each
        row reads the symbols that precede it in the text, as many as ``history`` has (at least one), without counting
        them: no prediction is made from an empty state.

        Parameters
        ----------
        params : dict
        symbols : array, (N,), integers
        history : array, (M,), integers
            What stands before the first symbol; a few hundred symbols are enough to warm the state up.
        rows : int
        backend : str

        Returns
        -------
        float

        Raises
        ------
        OptionError
            One of the two texts is empty.
        """
        if not len(symbols) or not len(history):
            raise OptionError(
                f"bits_per_character: {len(symbols)} symbols and {len(history)} before them came; expected at least one"
            )
        text, warm = np.concatenate([history, symbols]), len(history)
        rows = min(rows, len(symbols))
        length = -(-len(symbols) // rows)
        # Row r predicts the positions warm + r * length, ... of the text; those past its end are not counted.
        places = np.arange(warm + length)[:, None] + length * np.arange(rows)
        counted = (np.arange(warm + length) >= warm)[:, None] & (places < len(text))
        places = np.minimum(places, len(text) - 1)
        state, total, chunk = self.initial_state(rows, params["E"].dtype), 0.0, 128
        for begin in range(1, warm + length, chunk):
            now = slice(begin, min(begin + chunk, warm + length))
            before = slice(now.start - 1, now.stop - 1)
            state, logits = self.logits(params, state, text[places[before]], backend)
            picked = np.take_along_axis(log_softmax(logits), text[places[now]][..., None].astype(np.int64), axis=-1)
            total -= float(np.sum(picked[..., 0], where=counted[now], dtype=np.float64))
        return total / (len(symbols) * math.log(2))

    def write(
        self,
        params: Any,
        prompt: np.ndarray,
        length: int,
        rng: np.random.Generator,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        never: tuple[int, ...] = (),
    ) -> Iterator[int]:
        """Read a prompt and go on writing, symbol by symbol.

        Parameters
        ----------
        params : dict
        prompt : array, (N,), integers
            At least one symbol.
        length : int
            How many symbols to write.
        rng : numpy.random.Generator
        temperature, top_k, top_p
            See :func:`tapegrad.training.sample`.
        never : tuple of int
            Symbols that must not be written.

        Yields
        ------
        int
        """
        if not len(prompt):
            raise OptionError("write: the prompt is empty; give at least one symbol to go on from")
        state = self.initial_state(1, params["E"].dtype)
        for symbol in prompt:
            state, logits = self.step(params, state, np.array([symbol]))
        for _ in range(length):
            allowed = np.array(logits[0], np.float64)
            allowed[list(never)] = -np.inf
            symbol = sample(allowed, rng, temperature=temperature, top_k=top_k, top_p=top_p)
            yield int(symbol)
            state, logits = self.step(params, state, symbol[None])
