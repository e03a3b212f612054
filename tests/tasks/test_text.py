import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapegrad.errors import FileError, OptionError
from tapegrad.tasks.text import Streams, Vocabulary, load_text, python_reference, read_files, split


def test_the_reference_text_is_long_and_always_the_same():
    text = python_reference()
    assert text == python_reference()
    assert len(text) > 300_000
    assert text.index('The "assert" statement') < text.index('The "while" statement')


def test_a_stripped_python_is_told_to_give_a_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(FileError, match="no pydoc_data.topics.*give a text of your own"):
        python_reference()


def test_files_are_joined_in_the_order_given(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree")
    (tmp_path / "a.txt").write_bytes("größe\n".encode())
    assert read_files([tmp_path / "b.txt", tmp_path / "a.txt"]) == "one\ntwo\nthree\ngröße\n"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot read the text .*: No such file"),
        (b"", "is empty"),
        (b"abc\0def", "is not text: byte 3 is NUL"),
        (b"caf\xe9", "is not UTF-8 text: byte 3 is 0xe9; convert it to UTF-8"),
        (b"\xff\xfea\0", "is not text: byte 3 is NUL"),
        (b"\xed\xa0\x80", "is not UTF-8 text: byte 0"),
    ],
)
def test_files_that_are_not_texts(tmp_path, data, words):
    path = tmp_path / "text"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(FileError, match=words) as caught:
        read_files([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(FileError, match="cannot read the text"):
        read_files([tmp_path])


@pytest.mark.parametrize(
    ("text", "words"), [("a", "1 characters"), ("abcdefghi", "9 characters"), ("a" * 50, "one character only, 'a'")]
)
def test_texts_with_nothing_to_learn(text, words):
    with pytest.raises(FileError, match=words):
        split(text)


@given(st.text("abc", min_size=10).filter(lambda text: len(set(text)) > 1))
def test_the_last_tenth_is_held_out(text):
    training, held_out = split(text)
    assert training + held_out == text
    assert 0 <= len(held_out) - len(text) / 10 < 1


def test_characters_seen_once_are_unknown():
    vocabulary = Vocabulary.from_text("abcabd")
    assert vocabulary.characters == "ab"
    assert len(vocabulary) == 3
    assert vocabulary.encode("abcdz").tolist() == [1, 2, 0, 0, 0]
    assert vocabulary.decode([2, 1, 0]) == "ba\ufffd"
    assert vocabulary.unseen("bz, az\n") == ["z", ",", " ", "\n"]


@given(st.text(min_size=1), st.text(max_size=20))
def test_encoding_and_decoding_any_text(text, other):
    text = "ab" + text + text + "ab"
    vocabulary = Vocabulary.from_text(text)
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.encode(text).dtype == np.int32
    unknown = [character for character in dict.fromkeys(other) if not vocabulary.encode(character)[0]]
    assert vocabulary.unseen(other) == unknown


def test_encoding_does_not_rely_on_the_order_of_the_characters():
    assert Vocabulary("zay").encode("ayz!").tolist() == [2, 3, 1, 0]


def test_undecodable_command_line_characters_are_unseen():
    assert Vocabulary("ab").unseen("a\udcff") == ["\udcff"]
    assert Vocabulary("ab").encode("a\udcff").tolist() == [1, 0]


@pytest.mark.parametrize("characters", ["", "aba", "a\ud800", ["a", "b"]])
def test_impossible_vocabularies(characters):
    with pytest.raises(OptionError, match="no character stands twice"):
        Vocabulary(characters)


def test_a_vocabulary_needs_two_characters():
    with pytest.raises(FileError, match="only 1 character occurs more than once"):
        Vocabulary.from_text("aabcd")


def test_load_text_counts_rare_characters_as_unknown(tmp_path):
    path = tmp_path / "text"
    path.write_text("ab" * 45 + "?bababababz")
    text = load_text([path])
    assert text.vocabulary.characters == "ab"
    assert (text.training == 0).sum() == 0
    assert text.held_out[-1] == 0
    assert len(text.training) + len(text.held_out) == 101
    assert text.digest == load_text([str(path)]).digest
    path.write_text("ab" * 50)
    assert text.digest != load_text([path]).digest


streams = st.integers(2, 60).flatmap(
    lambda count: st.builds(
        Streams,
        st.just(np.arange(count)),
        batch=st.integers(1, count - 1),
        length=st.integers(1, count - 1),
        start=st.integers(0, count),
    )
)


@given(streams, st.integers(0, 50))
def test_rows_continue_where_they_ended(stream, n):
    inputs, targets = stream(n)
    following, _ = stream(n + 1)
    count = len(stream.tokens)
    assert inputs.shape == targets.shape == (stream.length, stream.batch)
    assert np.array_equal(targets, (inputs + 1) % count)
    assert np.array_equal(following[0], targets[-1])
    assert np.array_equal(stream(n)[0], inputs)


@given(streams)
def test_rows_start_evenly_spread(stream):
    starts = np.sort(stream(0)[0][0])
    gaps = np.diff([*starts, starts[0] + len(stream.tokens)])
    assert gaps.max() - gaps.min() <= 1


@given(streams)
def test_a_round_reads_every_character(stream):
    rounds = -(-len(stream.tokens) // stream.length)
    row = np.concatenate([stream(n)[0][:, 0] for n in range(rounds)])
    assert set(row.tolist()) == set(range(len(stream.tokens)))


@pytest.mark.parametrize(
    ("batch", "length", "words"),
    [
        (0, 2, "batch 0 is below 1"),
        (2, 0, "sequence length 0 is below 1"),
        (2, 10, "sequence length 10 is too long for 10 characters; at most 9 fits"),
        (10, 2, "batch 10 is too long"),
    ],
)
def test_impossible_batches(batch, length, words):
    with pytest.raises(OptionError, match=words):
        Streams(np.arange(10), batch, length)
