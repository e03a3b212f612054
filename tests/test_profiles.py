"""The profiles are what CONTRIBUTING.md says of them."""

import re
from pathlib import Path

import pytest
from hypothesis import settings

from tests.strategies.effort import PARTS, PROFILES, examples, few, rare, some

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"


def test_the_table_of_profiles_is_true():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    expected = [
        (name, *map(str, (profile["max_examples"], *(examples(part, profile["max_examples"]) for part in PARTS))))
        for name, profile in PROFILES.items()
    ]
    assert rows == expected


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_registered_as_they_stand_there(name):
    profile = settings.get_profile(name)
    assert {key: getattr(profile, key) for key in PROFILES[name]} == PROFILES[name]
    assert profile.deadline is None


def test_costly_properties_draw_a_part_of_the_profile():
    assert [made().max_examples for made in (some, few, rare)] == [examples(part) for part in PARTS]
    assert some(derandomize=True).derandomize
