"""The source text that machine code depends on."""

import ast
import importlib
from pathlib import Path

from tapegrad.backends.numba_cpu import fingerprint, runtime


def test_the_fingerprint_covers_every_module_that_runtime_imports():
    """The imports are read with an expression; here they are read with Python's own parser."""
    package, seen, waiting = runtime.__package__, set(), ["runtime"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        path = Path(importlib.import_module(f"{package}.{name}").__file__)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").startswith(package)):
                waiting += [node.module.split(".")[-1]] if node.module else [alias.name for alias in node.names]
    texts = fingerprint.reached("runtime")
    assert set(texts) == seen
    assert {"constants", "vectors", "gemm", "lanes", "denormals"} <= seen
    for name, text in texts.items():
        assert text == Path(importlib.import_module(f"{package}.{name}").__file__).read_text()
