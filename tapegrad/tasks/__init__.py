"""Data: texts, and the baselines to measure against."""

from .text import Streams as Streams
from .text import Text as Text
from .text import Vocabulary as Vocabulary
from .text import load_text as load_text
from .witten_bell import WittenBell as WittenBell
