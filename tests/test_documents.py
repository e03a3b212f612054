"""What the documents say is run: the README's Python, and the examples in every docstring."""

import doctest
import importlib
import linecache
import re
from pathlib import Path

import pytest

from tests.test_package import MODULES

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NOTEBOOKS = sorted((ROOT / "docs" / "derivations").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_readme_examples_run_in_order_and_print_what_it_shows(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [(text[: match.start()].count("\n") + 2, match[1]) for match in BLOCK.finditer(text)]
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "readme"}
    for line, block in blocks:
        # The padding makes a traceback name the README's own line.
        exec(compile("\n" * (line - 1) + block, "README.md", "exec"), names)
        assert capsys.readouterr().out.strip() in text


def test_readme_example_with_torch():
    torch = pytest.importorskip("torch")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {"torch": torch}
    exec(BLOCK.search(text)[1], names)
    names["xs"] = torch.from_numpy(names["xs"])
    exec("from tapegrad.interop import torch as bridge", names)
    for block in re.findall(r"^```py\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(block, names)
    names["ys"].sum().backward()
    assert names["ys"].shape == (100, 4, 32)
    assert all(parameter.grad.any() for parameter in names["module"].parameters())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document):
    targets = LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


# What the notebooks compute is checked by `make docs`, which runs them.
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_listed_assert_and_end_with_exercises_and_references(notebook):
    text = notebook.read_text(encoding="utf-8")
    listed = (ROOT / "docs" / "index.md").read_text(encoding="utf-8").split()
    assert f"derivations/{notebook.stem}" in listed
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[-2:] == ["Exercises", "References"]
    assert re.search(r"^kernelspec:\n  name: python3$", text, re.MULTILINE)
    asserting = [cell for cell in CELL.findall(text) if re.search(r"^\s*(assert |np\.testing\.)", cell, re.MULTILINE)]
    assert len(asserting) >= 3


TORCH = "applied", "functions", "layer_module", "memory", "modules"  # of tapegrad.interop.torch, those that need it
WITH_TORCH = {f"tapegrad.interop.torch.{name}" for name in TORCH}


# Not pytest's --doctest-modules: it would import `cells/base.py` a second time under the name `cells.base`,
# and every cell and backend would be registered twice.
@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstring_examples(name):
    if name.startswith("tapegrad.testing.by_"):  # another library, which the tests can do without
        pytest.importorskip(name.removeprefix("tapegrad.testing.by_"))
    if name in WITH_TORCH:
        pytest.importorskip("torch")
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


def test_the_blocks_of_the_page_on_debugging_are_one_file_that_prints_what_it_shows(monkeypatch, capsys):
    text = (ROOT / "docs" / "debugging.md").read_text(encoding="utf-8")
    blocks, shown = BLOCK.findall(text), re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    source = "".join(blocks)
    monkeypatch.setitem(linecache.cache, "model.py", (len(source), None, source.splitlines(True), "model.py"))
    names: dict[str, object] = {"__name__": "model"}
    before = 0
    for block, output in zip(blocks, shown, strict=True):
        exec(compile("\n" * before + block, "model.py", "exec"), names)
        before += block.count("\n")
        assert capsys.readouterr().out == output


def test_the_guide_to_adding_a_cell_runs_from_beginning_to_end(monkeypatch):
    """Its cells assert what they say. What they print is seen when the documentation is built."""
    page = ROOT / "docs" / "adding_a_cell.md"
    text = page.read_text(encoding="utf-8")
    cells = list(CELL.finditer(text))
    assert sum(" assert " in f" {match[1].replace(chr(10), ' ')}" for match in cells) >= 12
    monkeypatch.chdir(page.parent)
    monkeypatch.setitem(linecache.cache, page.name, (len(text), None, text.splitlines(True), page.name))
    names: dict[str, object] = {"__name__": "guide"}
    for match in cells:
        line = text[: match.start()].count("\n") + 1
        exec(compile("\n" * line + match[1], page.name, "exec"), names)
