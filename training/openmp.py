"""OpenMP: the one library that implicit and LightGBM expect from the machine.

Their Linux wheels ask for `libgomp.so.1` and do not bring it; a slim Python image has none. The wheel of scikit-learn
brings a copy, and is in the lock for that file alone: neither it nor what it needs is imported or installed.

Why not `apt-get install libgomp1`: a machine with Python and make is promised to be enough. Why not the copy as it
is: it carries another name, `libgomp-<hash>.so`, and the loader asks for `libgomp.so.1` by name.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_NAME: Final = b"libgomp.so.1"


@cache
def load() -> bool:
    """Load OpenMP for the libraries imported after it; call it before the first import of implicit or lightgbm.

    Returns:
        False where there is none: importing them will fail, and say so. True elsewhere, and outside Linux,
        where it is not needed or not ours to find.
    """
    if not sys.platform.startswith("linux"):
        return True
    carried = _carried()
    try:
        ctypes.CDLL(_NAME.decode(), mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return carried is not None and _load_as(carried)
    return True


def _carried() -> Path | None:
    # find_spec looks the package up without importing it.
    spec = find_spec("sklearn")
    places = spec.submodule_search_locations if spec else None
    found = [one for place in places or [] for one in Path(place).parent.glob("scikit_learn.libs/libgomp-*.so.*")]
    return found[0] if found else None


def _load_as(carried: Path) -> bool:
    """Load the copy under the name that is asked for. In memory: /tmp may be mounted noexec, and nothing is left."""
    content = carried.read_bytes()
    alias = carried.name.encode()
    if alias not in content or len(alias) < len(_NAME):
        return False
    # The descriptor stays open: the loader knows the library by its path for as long as the process lives.
    handle = os.memfd_create(_NAME.decode())
    with os.fdopen(os.dup(handle), "wb") as file:
        file.write(content.replace(alias, _NAME.ljust(len(alias), b"\0")))
    try:
        ctypes.CDLL(f"/proc/self/fd/{handle}", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        os.close(handle)
        return False
    return True
