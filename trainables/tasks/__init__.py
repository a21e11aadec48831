"""Tasks, one package each.

Every package here is imported, so that each registers its configurations: there is no list to maintain. A package
imports its tasks only to build one, because PyTorch takes seconds to import.
"""

import importlib
import pkgutil

for _package in sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg):
    importlib.import_module(f"{__name__}.{_package}")
