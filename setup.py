"""Builds the extensions of fastlog_ext; everything else about the package is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
PACKAGE = ROOT / "fastlog_ext"

# Modules that need more than their own .pyx: C sources beside them, and libraries.
SOURCES = {"crc32c": ["fastlog_ext/crc32c_impl.c"]}
LIBRARIES = {"codecs": ["z", "lz4", "zstd", "snappy"]}

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": False,
}


def extensions():
    wanted = os.environ.get("FASTLOG_MODULES")  # a comma-separated subset, for a quick rebuild
    names = sorted(path.stem for path in PACKAGE.glob("*.pyx"))
    if wanted:
        names = [name for name in names if name in wanted.split(",")]
    return [
        Extension(
            f"fastlog_ext.{name}",
            [f"fastlog_ext/{name}.pyx", *SOURCES.get(name, [])],
            libraries=LIBRARIES.get(name, []),
            extra_compile_args=["-O2", "-g1", "-Wall", "-Wno-unused-function"],
            extra_link_args=["-pthread"],
        )
        for name in names
    ]


setup(ext_modules=cythonize(extensions(), compiler_directives=DIRECTIVES, build_dir="build/cython"))
