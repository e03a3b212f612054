"""Pictures are drawn without a screen, and closed behind each test."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _closed():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
