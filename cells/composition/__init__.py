"""Networks of cells: depth, directions, and what goes in and comes out."""

from .bidirectional import Bidirectional as Bidirectional
from .deep_transition import DeepTransition as DeepTransition
from .dropout import Dropout as Dropout
from .feedback import Feedback as Feedback
from .feeds import Sampled as Sampled
from .feeds import greedy as greedy
from .feeds import lengths_until as lengths_until
from .feeds import one_hot as one_hot
from .resampling import Pooling as Pooling
from .resampling import Subsampling as Subsampling
from .sequential import Sequential as Sequential
from .stacked import Stacked as Stacked
