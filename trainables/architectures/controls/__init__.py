"""Controls: what an architecture of interest has to beat.

Every module and package here is imported, so that what it registers is known: there is no list to forget.
"""

import importlib
import pkgutil

for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
