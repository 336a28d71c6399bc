"""From the prepared store to balanced, augmented batches on the device."""

from medcls.loading.augmentation import Augmentation
from medcls.loading.batch import Batch
from medcls.loading.batches import eval_loader, train_loader
from medcls.loading.dataset import Draw, Item, PreparedDataset
from medcls.loading.mixing import Mixing
from medcls.loading.sampling import BalancedSampler, ShuffleSampler

__all__ = [
    "Augmentation",
    "BalancedSampler",
    "Batch",
    "Draw",
    "Item",
    "Mixing",
    "PreparedDataset",
    "ShuffleSampler",
    "eval_loader",
    "train_loader",
]
