"""Text as a stream of characters: reading, splitting, numbering, and batches for truncated BPTT."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import FileError, OptionError

__all__ = ["Streams", "Text", "Vocabulary", "load_text", "python_reference", "read_files", "split"]

#: How many of ten parts of a text are for training; the rest, at its end, is held out.
TRAINING_TENTHS = 9


def python_reference() -> str:
    """The Python language reference, as every installation of Python carries it for ``help()``.

    Returns
    -------
    str
        The topics of ``pydoc_data.topics`` in the order of their names, joined by newlines: about 465,000
        characters in Python 3.11. Other versions of Python carry other texts.

    Raises
    ------
    FileError
        The installation was stripped of it.
    """
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise FileError(
            "this Python has no pydoc_data.topics, the text that is used by default; give a text of your own"
        ) from error
    return "\n".join(topics[name] for name in sorted(topics))


def read_files(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Read UTF-8 text files and join them by newlines, in the order given.

    A byte order mark is dropped, and line ends become ``\\n``.

    Raises
    ------
    FileError
        A file is missing, unreadable, empty, or not text: it holds a NUL or bytes that are not UTF-8.
    """
    texts = []
    for path in paths:
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise FileError(f"cannot read the text {os.fspath(path)!r}: {error.strerror or error}") from error
        if not data:
            raise FileError(f"the text {os.fspath(path)!r} is empty")
        where = data.find(b"\0")
        if where >= 0:
            raise FileError(f"{os.fspath(path)!r} is not text: byte {where} is NUL; give UTF-8 text")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FileError(
                f"{os.fspath(path)!r} is not UTF-8 text: byte {error.start} is 0x{data[error.start]:02x}; "
                "convert it to UTF-8"
            ) from error
        texts.append(text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(texts)


def split(text: str) -> tuple[str, str]:
    """The first nine tenths, for training, and the last tenth, held out.

    Raises
    ------
    FileError
        Fewer than ten characters, or fewer than two different ones: there is nothing to learn.
    """
    if len(text) < 10:
        raise FileError(f"the text has {len(text)} characters; at least 10 are needed to hold a tenth out")
    if len(set(text)) < 2:
        raise FileError(f"the text holds one character only, {text[0]!r}, over and over; there is nothing to learn")
    cut = len(text) * TRAINING_TENTHS // 10
    return text[:cut], text[cut:]


@dataclass(frozen=True)
class Vocabulary:
    """The characters that a model knows, numbered; number 0 stands for every other character.

    Parameters
    ----------
    characters : str
        The known characters, in the order of their numbers 1, 2, ...

    Raises
    ------
    OptionError
        There is no character, one stands twice, or one is half of a surrogate pair.

    Notes
    -----
    A held-out text may hold characters that the training text lacks, and their probability has to come from
    somewhere. Characters that occur just once in training are therefore counted as unknown there: this
    gives the unknown character the probability N1 / N, which is the Good-Turing estimate of meeting a character
    never seen before (Good, "The population frequencies of species and the estimation of population parameters",
    Biometrika 40, 1953). Losses count an unknown character as that one symbol; which one it is costs nothing more.
    """

    characters: str

    UNKNOWN = 0

    def __post_init__(self) -> None:
        text = self.characters
        if (
            not isinstance(text, str)
            or not text
            or len(set(text)) < len(text)
            or any("\ud800" <= c <= "\udfff" for c in text)
        ):
            raise OptionError(
                f"Vocabulary: characters={ascii(text)}; expected a text in which no character stands twice"
            )

    @classmethod
    def from_text(cls, text: str) -> Vocabulary:
        """The characters that occur at least twice, in the order of their code points.

        Raises
        ------
        FileError
            There are fewer than two.
        """
        known = sorted(character for character, count in Counter(text).items() if count > 1)
        if len(known) < 2:
            raise FileError(
                f"only {len(known)} character occurs more than once in the training text; give a longer text"
            )
        return cls("".join(known))

    def __len__(self) -> int:
        """The number of symbols, the unknown one included."""
        return len(self.characters) + 1

    def encode(self, text: str) -> np.ndarray:
        """Numbers of the characters, (len(text),) int32; 0 for unknown ones."""
        points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        known = np.frombuffer(self.characters.encode("utf-32-le"), np.uint32)
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known, points, sorter=order), len(known) - 1)
        return np.where(known[order[place]] == points, order[place] + 1, self.UNKNOWN).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The characters of these numbers; U+FFFD for the unknown one."""
        table = "\N{REPLACEMENT CHARACTER}" + self.characters
        return "".join([table[token] for token in np.asarray(tokens).ravel().tolist()])

    def unseen(self, text: str) -> list[str]:
        """The characters of ``text`` that are not in the vocabulary, each once, in order of appearance."""
        return [character for character in dict.fromkeys(text) if character not in self.characters]


@dataclass(frozen=True)
class Text:
    """A text that was split and numbered: see :func:`load_text`.

    Attributes
    ----------
    vocabulary : Vocabulary
    training, held_out : array, (N,), int32
    digest : str
        SHA-256 of the whole text.
    """

    vocabulary: Vocabulary
    training: np.ndarray
    held_out: np.ndarray
    digest: str


def load_text(paths: Iterable[str | os.PathLike[str]] = ()) -> Text:
    """Read files, or without any the Python language reference; split the text and number its characters.

    Raises
    ------
    FileError
        See :func:`read_files`, :func:`split` and :meth:`Vocabulary.from_text`.
    """
    paths = list(paths)
    text = read_files(paths) if paths else python_reference()
    training, held_out = split(text)
    vocabulary = Vocabulary.from_text(training)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Text(vocabulary, vocabulary.encode(training), vocabulary.encode(held_out), digest)


@dataclass(frozen=True, eq=False)
class Streams:
    """Batches for truncated BPTT: each row of a batch continues where the same row of the one before ended.

    The text is taken as a ring. The rows start evenly spread over it and all advance by ``length`` characters a
    batch, so that the state after one batch is the state before the next, always. A row has read
    the whole text after len(tokens) / length batches. Only the step across the ring's seam, once in a round,
    joins characters that are not neighbours in the text.

    Batch ``n`` depends on nothing but ``n``, which is what lets a stopped run continue exactly.

    Parameters
    ----------
    tokens : array, (N,), integers
    batch, length : int
        Rows, and characters in a row of one batch (time steps).
    start : int
        Where on the ring row 0 starts.

    Raises
    ------
    OptionError
        ``length`` or ``batch`` is below 1, or does not fit into the text.
    """

    tokens: np.ndarray
    batch: int
    length: int
    start: int = 0

    def __post_init__(self) -> None:
        count = len(self.tokens)
        for name, value in (("batch", self.batch), ("sequence length", self.length)):
            if value < 1:
                raise OptionError(f"{name} {value} is below 1")
            if value >= count:
                raise OptionError(f"{name} {value:,} is too long for {count:,} characters; at most {count - 1:,} fits")

    def __call__(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch ``n``: inputs and targets, each (length, batch), the targets one character ahead."""
        count = len(self.tokens)
        rows = self.start + np.arange(self.batch) * count // self.batch
        times = n * self.length + np.arange(self.length + 1)
        window = self.tokens[(rows[None, :] + times[:, None]) % count]
        return window[:-1], window[1:]
