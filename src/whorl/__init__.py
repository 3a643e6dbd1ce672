"""whorl: from raw text to a language model you can talk to, trust and improve.

`whorl.plan`, `whorl.run`, `whorl.load`, `whorl.Recipe` and `whorl.Model` are imported when first asked for: `import whorl`
alone brings in neither torch nor pydantic. Their types are in the stub beside this file.
"""

import os
from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Model": "whorl.api",
    "Recipe": "whorl.flow.recipe",
    "load": "whorl.api",
    "plan": "whorl.api",
    "run": "whorl.api",
}

# A process started by an offline one must be closed to the network before it imports anything else, and this file is the
# first of ours that any of them imports.
if os.environ.get("WHORL_OFFLINE") == "1":
    import_module("whorl.cli.offline").forbid()


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'whorl' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
