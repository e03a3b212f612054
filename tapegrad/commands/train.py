"""Train a model that predicts text character by character, and let it write.

Without --text it learns the Python language reference, which every installation of Python carries. The last
tenth of the text is held out; its loss is shown beside those of Witten-Bell models that see one and three characters.
The model is what the run came by with the least held-out loss, at the end or before: it writes the sample, and is
what --save keeps, beside that from which --resume goes on. Since the held-out text chooses it, its loss there is
a little lower than on other text.

A run that is stopped, by Ctrl-C too, and resumed goes on with exactly the losses of one that was not.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from typing import Any

import numpy as np

from ..errors import FileError, NonFiniteError, OptionError
from ..tasks.text import Streams, load_text
from ..tasks.witten_bell import WittenBell
from ..training.checkpoints import check_writable, rng_from_state, rng_state
from ..training.loop import fit
from ..training.optimizers import Adam, InverseSqrt
from ..training.state import Report, TrainingState
from .arguments import integer, number
from .models import CHANGEABLE, DTYPE, SavedModel, Settings, build, load_model, save_model
from .sample import start_of, write_text
from .threads import set_blas_threads

#: Of the training text, how much each row reads before it is tested on its part of the held-out text.
WARM_UP = 128
SAMPLE_TEMPERATURE = 0.7
BASELINES = 1, 3
#: For how many steps the learning rate stays what it is, before it falls with the square root of the step.
CONSTANT_RATE = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``tapegrad train``."""
    default = Settings()
    add, size = parser.add_argument, integer(1, 65536)
    add("--text", nargs="+", action="extend", metavar="FILE", help="UTF-8 text files, joined in this order")
    add("--cell", metavar="NAME", help=f"lstm, gru, elman, another registered cell, or module:Class [{default.cell}]")
    add("--layers", type=integer(1, 100), metavar="N", help=f"cells above one another [{default.layers}]")
    add("--hidden", type=size, metavar="N", help=f"units of each cell [{default.hidden}]")
    add("--embedding", type=size, metavar="N", help=f"numbers that stand for a character [{default.embedding}]")
    add("--sequence", type=integer(1), metavar="N", help=f"steps that gradients flow back [{default.sequence}]")
    add("--batch", type=integer(1), metavar="N", help=f"places in the text read side by side [{default.batch}]")
    add("--steps", type=integer(1), metavar="N", help="stop after N updates, those before --resume included")
    add("--minutes", type=number(0, above=True), metavar="M", help="stop after M minutes [0.7 without --steps]")
    add("--seed", type=integer(0, 2**63 - 1), metavar="N", help=f"of the random numbers [{default.seed}]")
    rate = number(0, 1e3, above=True)
    add(
        "--learning-rate",
        type=rate,
        metavar="X",
        help=f"of Adam; falls after step {CONSTANT_RATE} [{default.learning_rate}]",
    )
    add("--clip", type=number(0, above=True), metavar="X", help=f"largest norm of the gradient [{default.clip}]")
    add("--backend", default="auto", metavar="NAME", help="what runs the cells [auto]")
    add("--threads", type=integer(1, 1024), metavar="N", help="threads of the loops and of NumPy [the cores; 1]")
    add("--evaluate-every", type=integer(1), default=100, metavar="N", help="steps between evaluations [100]")
    add("--save", metavar="FILE", help="keep the model here, written at every evaluation and at the end")
    add("--resume", metavar="FILE", help="go on with the run that was saved here")
    add("--sample", type=integer(0), default=300, metavar="N", help="characters to write at the end [300]")
    add("--quiet", action="store_true", help="print the result only")


def run(args: argparse.Namespace) -> int:
    """Train; the exit status."""
    if args.threads is not None or "OPENBLAS_NUM_THREADS" not in os.environ:
        set_blas_threads(args.threads or 1)
    if args.threads is not None:
        os.environ["TAPEGRAD_NUM_THREADS"] = str(args.threads)
    saved = load_model(args.resume, args.cell) if args.resume else None
    settings = _settings(args, saved)
    if args.save:
        check_writable(args.save)
    session = Session(args, settings, saved)
    session.announce()
    try:
        session.train()
    except KeyboardInterrupt:
        return session.interrupted()
    except NonFiniteError as error:
        raise NonFiniteError(f"{error} (here --learning-rate, --clip){session.what_is_kept()}") from error
    session.finish()
    return 0


class Session:
    """One run of the command: the model, its text, and where its training stands."""

    def __init__(self, args: argparse.Namespace, settings: Settings, saved: SavedModel | None):
        self.args, self.settings = args, settings
        self.paths = _paths(args, saved)
        self.text = load_text(self.paths)
        self.optimizer = Adam(InverseSqrt(settings.learning_rate, constant=CONSTANT_RATE))
        if saved is None:
            self._begin()
        else:
            self._continue(saved)
        self.tokens = Streams(self.text.training, settings.batch, settings.sequence, self.start)
        self.first_step = self.state.step
        self.kept_step: int | None = None
        self.evaluation_seconds, self.seconds = 0.0, 0.0
        self._try()
        self.baselines = {order: self._witten_bell(order) for order in BASELINES}

    def _begin(self) -> None:
        settings = self.settings
        self.model = build(settings, len(self.text.vocabulary))
        self.rng = np.random.default_rng(settings.seed)
        self.start = int(self.rng.integers(len(self.text.training)))
        params = self.model.init(self.rng, DTYPE)
        self.state = TrainingState.start(params, self.optimizer, self.model.initial_state(settings.batch, DTYPE))

    def _continue(self, saved: SavedModel) -> None:
        checkpoint, self.model = saved.checkpoint, saved.model
        if checkpoint.config.get("digest") != self.text.digest:
            raise FileError(
                f"the text is not the one that the model in {checkpoint.path!r} was trained on; "
                "give the same --text, or leave --resume out"
            )
        try:
            self.start = int(checkpoint.config["start"])
            self.rng = rng_from_state(checkpoint.config["rng"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{checkpoint.path!r} is damaged: its configuration lacks {error}") from error
        self.state = saved.training_state(self.optimizer)
        step = self.state.step
        if self.args.steps is not None and self.args.steps <= step:
            raise OptionError(f"--steps {self.args.steps}: the run in {checkpoint.path!r} has made {step} already")

    def _try(self) -> None:
        """One step on one character, before training: is there the backend, and can it run this cell?"""
        one = np.zeros((1, 1), np.int64)
        self.model.logits(self.state.params, self.model.initial_state(1, DTYPE), one, self.args.backend)

    def _witten_bell(self, order: int) -> float:
        """What a model that sees so many characters reaches on the same split."""
        model = WittenBell(self.text.training, len(self.text.vocabulary), order=order)
        return float(model.bits(self.text.held_out, self.text.training).mean())

    def train(self) -> None:
        """Until the limit of steps or time."""
        args, backend = self.args, self.args.backend
        minutes = 0.7 if args.steps is None and args.minutes is None else args.minutes
        fit(
            lambda params, batch, carry: self.model.loss(params, batch, carry, backend),
            self.state,
            self.tokens,
            self.optimizer,
            steps=args.steps,
            seconds=None if minutes is None else 60 * minutes,
            clip_norm=self.settings.clip,
            evaluate=self._evaluate,
            evaluate_every=args.evaluate_every,
            on_step=self._note,
            progress=False if args.quiet else None,
        )

    def _evaluate(self, params: Any) -> float:
        begun = time.perf_counter()
        history = self.text.training[-WARM_UP:]
        value = self.model.bits_per_character(params, self.text.held_out, history, backend=self.args.backend)
        self.evaluation_seconds += time.perf_counter() - begun
        return value

    def _note(self, report: Report) -> None:
        self.state, self.seconds = report.state, report.seconds
        if report.held_out is None:
            return
        if self.args.save:
            self._save()
        self._print(
            f"step {report.state.step:6,}   training {report.loss:.3f}   held out {report.held_out:.3f} bits per "
            f"character   {self.speed():,.0f} characters/s"
        )

    def _save(self) -> None:
        config = {
            "settings": dataclasses.asdict(self.settings),
            "vocabulary": self.text.vocabulary.characters,
            "text": self.paths,
            "digest": self.text.digest,
            "start": self.start,
            "rng": rng_state(self.rng),
        }
        save_model(self.args.save, self.state, config)
        self.kept_step = self.state.step

    def speed(self) -> float:
        """Characters trained on in a second, evaluations not counted."""
        made = (self.state.step - self.first_step) * self.settings.batch * self.settings.sequence
        return made / max(self.seconds - self.evaluation_seconds, 1e-9)

    # ---- what is said

    def announce(self) -> None:
        """What will be trained, on what."""
        settings, text = self.settings, self.text
        unknown = int(np.count_nonzero(text.held_out == text.vocabulary.UNKNOWN))
        self._print(
            f"text: {len(text.training):,} characters for training, {len(text.held_out):,} held out, "
            f"{len(text.vocabulary) - 1} different"
            + (f"; {unknown} of those held out count as unknown" if unknown else "")
        )
        self._print(
            f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, "
            f"{self.model.parameter_count:,} parameters; batches of {settings.batch} x {settings.sequence} characters"
        )
        if self.first_step:
            self._print(f"going on after step {self.first_step:,}")

    def finish(self) -> None:
        """The result, and a sample."""
        best, made = self.state.best, f"{self.state.step:,} steps"
        assert best is not None  # a run ends with an evaluation
        if best.step != self.state.step:
            made = f"{best.step:,} of {made}"
            self._print(f"the best on the held-out text: what there was after {best.step:,} steps, which is kept")
        print(
            f"held out after {made}: {best.held_out:.3f} bits per character; "
            f"Witten-Bell, one character of context: {self.baselines[1]:.3f}, three: {self.baselines[3]:.3f}   "
            f"({self.speed():,.0f} characters/s)"
        )
        if self.args.save:
            self._print(f"saved to {self.args.save}")
        if self.args.sample and not self.args.quiet:
            print(f"\nwritten by the model, at temperature {SAMPLE_TEMPERATURE}:\n")
            prompt = start_of(self.text.vocabulary)
            options = {"temperature": SAMPLE_TEMPERATURE}
            write_text(self.model, best.params, self.text.vocabulary, prompt, self.args.sample, self.rng, options)

    def interrupted(self) -> int:
        """After Ctrl-C: save what there is. The state is that of the last whole step."""
        made = self.state.step - self.first_step
        if self.args.save and made:
            self._save()
        print(f"tapegrad train: stopped at step {self.state.step}{self.what_is_kept()}", file=sys.stderr)
        return 130

    def what_is_kept(self) -> str:
        """A clause on what the file of --save holds."""
        if not self.args.save:
            return "; nothing was saved, --save was not given"
        if self.kept_step is None:
            return "; nothing was saved yet"
        return f"; {self.args.save} holds step {self.kept_step}, go on with --resume {self.args.save}"

    def _print(self, line: str) -> None:
        if not self.args.quiet:
            from tqdm import tqdm

            tqdm.write(line)


def _settings(args: argparse.Namespace, saved: SavedModel | None) -> Settings:
    """Those given, over those of the saved run or the defaults."""
    names = [field.name for field in dataclasses.fields(Settings)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if saved is None:
        return Settings(**given)
    for name, value in given.items():
        had = getattr(saved.settings, name)
        if name not in (*CHANGEABLE, "cell") and value != had:
            raise OptionError(
                f"--{name} {value}: the run in {saved.checkpoint.path!r} has {had}; leave the option out, or --resume"
            )
    return dataclasses.replace(saved.settings, **{name: given[name] for name in CHANGEABLE if name in given})


def _paths(args: argparse.Namespace, saved: SavedModel | None) -> list[str]:
    """The texts named now, or by the run that goes on."""
    if args.text is not None or saved is None:
        return args.text or []
    stored = saved.checkpoint.config.get("text")
    if not isinstance(stored, list) or not all(isinstance(path, str) for path in stored):
        raise FileError(f"{saved.checkpoint.path!r} is damaged: its configuration lacks the names of the texts")
    return stored
