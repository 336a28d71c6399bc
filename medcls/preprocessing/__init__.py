"""From a Scan to the network's input, computed once and kept."""

from medcls.preprocessing.building import build_recipe
from medcls.preprocessing.many import prepare_many
from medcls.preprocessing.prepared import Prepared
from medcls.preprocessing.recipe import Recipe
from medcls.preprocessing.steps.step import Step
from medcls.preprocessing.store import PreparedStore, StoreSize
from medcls.preprocessing.stored import StoredPrepared

__all__ = ["Prepared", "PreparedStore", "Recipe", "Step", "StoreSize", "StoredPrepared", "build_recipe", "prepare_many"]
