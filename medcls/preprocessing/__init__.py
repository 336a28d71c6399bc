"""From a Scan to the network's input, computed once and kept."""

from medcls.preprocessing.images.prepared import Prepared
from medcls.preprocessing.recipes.build import build_recipe
from medcls.preprocessing.recipes.recipe import Recipe
from medcls.preprocessing.steps.common.step import Step
from medcls.preprocessing.steps.further import add_step
from medcls.preprocessing.store.entry import StoredPrepared
from medcls.preprocessing.store.prepare_many import prepare_many
from medcls.preprocessing.store.store import PreparedStore, StoreSize

__all__ = [
    "Prepared",
    "PreparedStore",
    "Recipe",
    "Step",
    "StoreSize",
    "StoredPrepared",
    "add_step",
    "build_recipe",
    "prepare_many",
]
