"""``python -m tests.meta``: plant every fault, and print how many there are of what and how many are equivalent."""

import os
import sys
from pathlib import Path

import pytest


class Table:
    """Prints the table behind the run."""

    def pytest_terminal_summary(self, terminalreporter):
        from tests.meta.counts import faults, table

        terminalreporter.section("planted faults")
        terminalreporter.write_line(table(faults(terminalreporter)))


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    sys.exit(pytest.main(["tests/meta", "-q", "-p", "no:cacheprovider", *sys.argv[1:]], plugins=[Table()]))
