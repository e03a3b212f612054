"""What the documents say is run: the README's Python, and the examples in every docstring."""

import ast
import doctest
import importlib
import importlib.util
import linecache
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_package import MODULES, SETTINGS

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


# Modules of the libraries that the package does without: those of pyproject.toml's extras.
OPTIONAL = {
    re.split(r"[^\w-]", requirement)[0].replace("-", "_")
    for extra in SETTINGS["project"]["optional-dependencies"].values()
    for requirement in extra
}


def imported(source: str) -> set[str]:
    """The packages that a program imports, wherever it does."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return {name.partition(".")[0] for name in names}


def absent(source: str) -> list[str]:
    """The optional libraries that a program imports and that are not installed."""
    return sorted(name for name in imported(source) & OPTIONAL if importlib.util.find_spec(name) is None)


def loaded(name: str) -> ModuleType:
    """A module of tapegrad; the test is skipped where it is made of an optional library that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL:
            pytest.skip(f"{name} needs {error.name}")
        raise


# Not pytest's --doctest-modules: it would import `cells/base.py` a second time under the name `cells.base`,
# and every cell and backend would be registered twice.
@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_docstring_examples(name):
    module = loaded(name)
    tests = [test for test in doctest.DocTestFinder().find(module) if test.examples]
    without = absent("".join(example.source for test in tests for example in test.examples))
    if without:
        pytest.skip(f"the examples of {name} import {', '.join(without)}")
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in tests:
        runner.run(test)
    assert runner.failures == 0


def test_examples_of_an_optional_library_are_skipped_where_it_is_missing_and_others_are_not(monkeypatch):
    assert {"torch", "jax", "onnx", "keras"} <= OPTIONAL
    assert not {"numpy", "tapegrad", "safetensors"} & OPTIONAL
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    assert absent("import numpy as np, torch.nn\nfrom json import loads") == ["torch"]
    assert absent("from torch import nn") == ["torch"]
    assert absent("from .torch import nn\nimport no_such_package") == []


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
