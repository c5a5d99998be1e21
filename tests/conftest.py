"""PyTensor without C or Numba compilation: the graphs of the tests are small and are evaluated a few times."""

import os

_flags = os.environ.get("PYTENSOR_FLAGS", "")
if "mode=" not in _flags:
    os.environ["PYTENSOR_FLAGS"] = f"{_flags},mode=FAST_COMPILE".strip(",")
