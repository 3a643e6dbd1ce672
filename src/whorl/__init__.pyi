from whorl.api import Model as Model
from whorl.api import load as load
from whorl.api import plan as plan
from whorl.api import run as run
from whorl.flow.recipe import Recipe as Recipe

__version__: str
