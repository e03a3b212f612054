"""Names of the code as books write them: a letter with its accent, its subscript and its layer."""

from __future__ import annotations

import re

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split()
)
ACCENTS = {"hat": "hat", "tilde": "tilde", "til": "tilde", "bar": "bar", "dot": "dot", "prime": "prime"}


class Letters:
    """A name of the code taken apart: ``layers[1].W_xh`` has the base W, the subscript xh, and the layer 1.

    Attributes
    ----------
    base, accent, below, above : str
        ``below`` holds words with underscores between them.
    """

    def __init__(self, name: str):
        *path, last = name.split(".")
        base, _, below = re.sub(r"\[(\w+)\]", r"_\1", last).partition("_")
        self.accent = ""
        if below in ACCENTS:
            self.accent, below = ACCENTS[below], ""
        self.below = below.strip("_")
        if not self.accent:
            base, self.accent = accented(base)
        self.base = base
        layers = [re.sub(r"^\D*(\d+)\]?$", r"\1", part) for part in path if part not in ("params", "state", "x")]
        self.above = ",".join(layers)

    @property
    def key(self) -> tuple[str, ...]:
        """What tells the print of a name from that of another."""
        return (self.base, self.accent, self.below, self.above)


def accented(word: str) -> tuple[str, str]:
    """``htilde`` is h with a tilde."""
    for ending, accent in ACCENTS.items():
        if word.endswith(ending) and len(word) > len(ending) and word not in GREEK:
            return word[: -len(ending)], accent
    return word, ""


def in_subscript(word: str) -> tuple[str, str, bool]:
    """A word of a subscript, its accent, and whether it may be Greek.

    Two letters are not: ``W_xi`` leads from x to i.
    """
    return *accented(word), len(word) > 2
