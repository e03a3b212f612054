"""How equations are written: letters, time, adjoints, products of elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from tapegrad.errors import OptionError

NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Notation:
    """The way in which a text writes its equations.

    Parameters
    ----------
    rename : dict of str to str
        Other names for parameters, states, inputs and named values: ``{"W_hh": "W"}``. Names are those of the code; an
        underscore starts the subscript, Greek letters are spelled out, ``xhat`` and ``x_tilde`` carry their accent.
    time : {"subscript", "superscript"}
        ``h_t`` or ``h^{(t)}``.
    adjoints : {"delta", "nabla", "bar", "partial"}
        For the derivative of the loss by h: ``delta h``, ``nabla_h L``, ``h`` with a bar, ``dL/dh``.
    products : {"hadamard", "diag"}
        A product of elements with an adjoint as ``u * v`` with a circle, or as ``diag(u) v``.
    inline : bool
        Whether the derivatives by the arguments of nonlinear functions are written out wherever they stand, instead of
        getting names.
    loss : str

    Examples
    --------
    >>> Notation(rename={"W_hh": "W", "W_xh": "U"}, products="diag").time
    'subscript'
    """

    rename: Mapping[str, str] = field(default_factory=lambda: NO_NAMES)
    time: str = "subscript"
    adjoints: str = "delta"
    products: str = "hadamard"
    inline: bool = False
    loss: str = "L"

    def __post_init__(self) -> None:
        if not all(isinstance(n, str) and n for pair in dict(self.rename).items() for n in pair):
            raise OptionError(
                f"Notation: rename={dict(self.rename)!r}, expected names for names, such as {{'W_hh': 'W'}}"
            )
        choices = {
            "time": ("subscript", "superscript"),
            "adjoints": ("delta", "nabla", "bar", "partial"),
            "products": ("hadamard", "diag"),
            "inline": (True, False),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise OptionError(
                    f"Notation: {name}={getattr(self, name)!r}, expected one of {', '.join(map(str, allowed))}"
                )
        object.__setattr__(self, "rename", MappingProxyType(dict(self.rename)))

    def name(self, name: str) -> str:
        """What a name of the code is called."""
        return self.rename.get(name, name)

    def with_names(self, **names: str) -> Notation:
        """The same with further names."""
        return replace(self, rename={**self.rename, **names})


PRESETS: dict[str, Notation] = {
    "default": Notation(),
    # Goodfellow, Bengio & Courville 2016, section 10.2: W recurrent, U input, V output; time above in parentheses.
    "goodfellow": Notation(
        rename={"W_hh": "W", "W_xh": "U", "b_h": "b", "W_hy": "V", "b_y": "c"},
        time="superscript", adjoints="nabla", products="diag", inline=True,
    ),
    # Pascanu, Mikolov & Bengio 2013, equation 2: x the state, u the input.
    "pascanu": Notation(
        rename={"h": "x", "x": "u", "W_hh": "W_rec", "W_xh": "W_in", "b_h": "b"},
        adjoints="partial", products="diag", inline=True,
    ),
    # Greff et al. 2017, section II and its backward pass: deltas of what goes into the gates; y the output.
    "greff": Notation(
        rename={
            "h": "y", "g": "z", **{f"W_x{a}": f"W_{b}" for a, b in zip("ifgo", "ifzo", strict=True)},
            **{f"W_h{a}": f"R_{b}" for a, b in zip("ifgo", "ifzo", strict=True)}, "b_g": "b_z",
            **{f"a_{a}": f"{b}bar" for a, b in zip("ifgo", "ifzo", strict=True)},
        },
        time="superscript", adjoints="delta",
    ),
    # Cho et al. 2014, section 2.3, as most texts write it now: U recurrent, W input.
    "cho": Notation(
        rename={
            **{f"W_x{a}": f"W_{a}" for a in "rz"}, **{f"W_h{a}": f"U_{a}" for a in "rz"},
            "W_xn": "W", "W_hn": "U", "n": "htilde", "a_n": "a",
        },
    ),
}  # fmt: skip


def notation(given: Any) -> Notation:
    """A notation from its name, or itself."""
    if given is None:
        return PRESETS["default"]
    if isinstance(given, Notation):
        return given
    if isinstance(given, str) and given in PRESETS:
        return PRESETS[given]
    raise OptionError(
        f"derive: notation={given!r}, expected one of {', '.join(PRESETS)}, or a Notation, such as "
        "Notation(rename={'W_hh': 'W'})"
    )
