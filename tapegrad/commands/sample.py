"""Let a model that was trained by `tapegrad train --save` go on from a prompt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import OptionError
from ..tasks.text import Vocabulary
from ..training.char_model import CharModel
from ..training.sampling import check_options
from .arguments import integer, number
from .models import load_model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad sample``."""
    add = parser.add_argument
    add("--model", required=True, metavar="FILE", help="what `tapegrad train --save` wrote")
    add("--prompt", default="", metavar="TEXT", help="what to go on from [the beginning of a line]")
    add("--length", type=integer(0), default=500, metavar="N", help="characters to write [500]")
    add("--temperature", type=number(0), default=1.0, metavar="T", help="0 is greedy, 1 the model as it is [1]")
    add("--top-k", type=integer(1), metavar="K", help="choose among the K most probable characters")
    add("--top-p", type=number(0, 1, above=True), metavar="P", help="choose among the fewest that have P together")
    add("--seed", type=integer(0, 2**63 - 1), metavar="N", help="for the same text again [different each time]")
    add("--cell", metavar="MODULE:CLASS", help="the model's cell, if it is one of your own")


def run(args: argparse.Namespace) -> int:
    """Write; the exit status."""
    options = {"temperature": args.temperature, "top_k": args.top_k, "top_p": args.top_p}
    check_options(**options)
    saved = load_model(args.model, args.cell)
    unseen = saved.vocabulary.unseen(args.prompt)
    if unseen:
        shown = ", ".join(ascii(character) for character in unseen[:5]) + (", ..." if len(unseen) > 5 else "")
        raise OptionError(
            f"--prompt: the model does not know {shown}: such characters stand at most once in its training text"
        )
    prompt = args.prompt or start_of(saved.vocabulary)
    rng = np.random.default_rng(args.seed)
    write_text(saved.model, saved.params, saved.vocabulary, prompt, args.length, rng, options, show=args.prompt)
    return 0


def start_of(vocabulary: Vocabulary) -> str:
    """What a model goes on from when there is no prompt: the end of a line, or the first character that it knows."""
    return "\n" if "\n" in vocabulary.characters else vocabulary.characters[0]


def write_text(
    model: CharModel,
    params: Any,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    rng: np.random.Generator,
    options: Mapping[str, Any],
    show: str = "",
) -> None:
    """Write on standard output, character by character as the model finds them."""
    sys.stdout.write(show)
    never = (vocabulary.UNKNOWN,)
    for symbol in model.write(params, vocabulary.encode(prompt), length, rng, never=never, **options):
        sys.stdout.write(vocabulary.decode([symbol]))
        sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()
