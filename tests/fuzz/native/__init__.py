"""The fuzzers' inner loop and its targets, compiled with the sanitizers: no Python in between.

To be imported before any module of fastlog_ext: those of this build call coverage.c in every basic
block, and find it only when it is there already, for all.
"""

import os
import sys

_flags = sys.getdlopenflags()
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
from tests.fuzz.native import loop  # noqa: E402, F401

sys.setdlopenflags(_flags)
