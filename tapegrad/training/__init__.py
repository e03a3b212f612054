"""Learning: optimisers, clipping, the training loop, checkpoints, sampling."""

from .checkpoints import Checkpoint as Checkpoint
from .checkpoints import check_writable as check_writable
from .checkpoints import load_checkpoint as load_checkpoint
from .checkpoints import rng_from_state as rng_from_state
from .checkpoints import rng_state as rng_state
from .checkpoints import save_checkpoint as save_checkpoint
from .clipping import clip_by_global_norm as clip_by_global_norm
from .clipping import clip_by_value as clip_by_value
from .clipping import global_norm as global_norm
from .clipping import non_finite as non_finite
from .frozen import Frozen as Frozen
from .loop import fit as fit
from .optimizers import SGD as SGD
from .optimizers import Adam as Adam
from .optimizers import InverseSqrt as InverseSqrt
from .optimizers import Optimizer as Optimizer
from .optimizers import RMSProp as RMSProp
from .sampling import probabilities as probabilities
from .sampling import sample as sample
from .state import Best as Best
from .state import Fit as Fit
from .state import Report as Report
from .state import TrainingState as TrainingState
