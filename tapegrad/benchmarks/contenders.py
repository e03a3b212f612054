"""Who takes part: the backends of this project, and the libraries that are installed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from .. import pytree
from ..errors import OptionError
from .recipes import Recipe
from .work import Results, Work


@dataclass
class Contender:
    """Something that can do a :class:`Work`.

    Attributes
    ----------
    name : str
    ours : bool
        Whether it is a backend of this project.
    forward, both : callable
        Do the work and wait until it is done; what they return is the library's own.
    read_forward, read_both : callable
        The results as NumPy arrays, from what ``forward`` and ``both`` returned.
    against : str
        The contender that it is held against in a line of its own; none by default.
    """

    name: str
    ours: bool
    forward: Callable[[], Any]
    both: Callable[[], Any]
    read_forward: Callable[[Any], list[np.ndarray]]
    read_both: Callable[[Any], Results]
    against: str = ""


@dataclass(frozen=True)
class Peer:
    """A library, and how it makes contenders.

    Attributes
    ----------
    package : str
        What has to be installed.
    module : str
        The module of this package with ``contenders(work, recipe, layer, threads)``.
    """

    package: str
    module: str


PEERS = {
    "torch": Peer("torch", "torch_layers"),
    "torch_custom": Peer("torch", "torch_peers"),
    "torch_module": Peer("torch", "torch_modules"),
    "jax": Peer("jax", "jax_peers"),
    "mygrad": Peer("mygrad", "mygrad_peers"),
}


def chosen_peers(text: str) -> list[str]:
    """Names of peers from "all", "none" or a list; with "all" those that are installed.

    Raises
    ------
    OptionError
        When a name is unknown, or names a library that is not installed.
    """
    if text == "none":
        return []
    if text == "all":
        return [name for name, peer in PEERS.items() if find_spec(peer.package) is not None]
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PEERS:
            raise OptionError(f"--peers {name}: unknown; choose from {', '.join(PEERS)}, or give all or none")
        if find_spec(PEERS[name].package) is None:
            raise OptionError(
                f"--peers {name}: the package {PEERS[name].package} is not installed; "
                'pip install "tapegrad[peers]", or leave it out'
            )
    return list(dict.fromkeys(names))


def backend_contender(work: Work, backend: str) -> Contender:
    """A backend of this project."""
    return Contender(
        backend,
        True,
        lambda: work.forward(backend),
        lambda: work.both(backend),
        lambda ys: list(pytree.leaves(ys)),
        work.results,
    )


def peer_contenders(work: Work, recipe: type[Recipe] | None, layer: str, peer: str, threads: int) -> list[Contender]:
    """The contenders that a peer makes; none where it does not know the cell.

    Parameters
    ----------
    work : Work
    recipe : type of Recipe, optional
        How the cell is written by hand in torch and JAX.
    layer : str
        The cell's name among the layers that libraries have; empty where none has it.
    peer : str
        A name of :data:`PEERS`.
    threads : int
    """
    return import_module(f".{PEERS[peer].module}", __package__).contenders(work, recipe, layer, threads)
