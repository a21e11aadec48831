"""Tasks, one module or package each.

Every module and package here is imported, so that each registers itself: there is no list to maintain.
"""

import importlib
import pkgutil

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
