"""`analysis` and `interp` are common names: those of beliefmod are taken, whatever the current folder holds.

The command `beliefmod` does not look for modules in the current folder; `python -m beliefmod` and a notebook
do, and there first.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path

from beliefmod.errors import UserError

PACKAGES = ("analysis", "interp")
HOME = Path(__file__).parents[2]
"""The folder that beliefmod is installed in, these packages beside it."""


def use_own_packages() -> dict[str, str]:
    """Have the names mean beliefmod's own packages from here on, in this process.

    Returns:
        names that would have meant something else from now on, and what.

    Raises:
        UserError: a module of that name that is not beliefmod's has been imported before.
    """
    others = {
        name: there
        for name in PACKAGES
        if (module := sys.modules.get(name)) and Path(there := _file(module)).resolve() != _own(name)
    }
    if others:
        raise UserError(
            f'"{name}" has been imported from {there}, and beliefmod has a package of that name, which one '
            "Python cannot hold twice: rename yours, or use the command beliefmod"
            for name, there in others.items()
        )
    hidden = {}
    for name in PACKAGES:
        if name in sys.modules:
            continue
        usual = find_spec(name)
        if usual is not None and usual.origin and Path(usual.origin).resolve() != _own(name):
            hidden[name] = usual.origin
        spec = PathFinder.find_spec(name, [str(HOME)])
        assert spec is not None and spec.loader is not None, f"{HOME} has no {name}"
        sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return hidden


def _own(name: str) -> Path:
    return (HOME / name / "__init__.py").resolve()


def _file(module: object) -> str:
    """Where a module is from; of a folder without `__init__.py` the folder, of one made by hand "nowhere"."""
    folders = list(getattr(module, "__path__", ()))
    return getattr(module, "__file__", None) or (folders[0] if folders else "nowhere")
