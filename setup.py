"""Builds the extensions of fastlog_ext; everything else about the package is in pyproject.toml.

Variables of the environment, for development:
    FASTLOG_MODULES=a,b       only these modules ("none": no module at all)
    FASTLOG_DEBUG=1           what must hold is looked at: fastlog_ext/insist.pxd
    FASTLOG_SANITIZE=LIST     what -fsanitize= takes: address,undefined or thread
    FASTLOG_FUZZ=1            the native fuzzers too, and every basic block tells that it ran
    FASTLOG_JOBS=N            compilers at a time (default: one a core)
"""

import os
import subprocess
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
PACKAGE = ROOT / "fastlog_ext"
DEBUG = os.environ.get("FASTLOG_DEBUG") == "1"
FUZZ = os.environ.get("FASTLOG_FUZZ") == "1"
SANITIZE = os.environ.get("FASTLOG_SANITIZE", "")
JOBS = int(os.environ.get("FASTLOG_JOBS") or os.cpu_count() or 1)

# Modules that need more than their own .pyx: C sources beside them, and libraries.
SOURCES = {
    "crc32c": ["fastlog_ext/crc32c_impl.c"],
    "loop": ["tests/fuzz/native/coverage.c"],
}
LIBRARIES = {"codecs": ["z", "lz4", "zstd", "snappy"]}

# Header, and the package of Debian and Ubuntu that has it (elsewhere the names are close).
HEADERS = {
    "stdio.h": "libc6-dev",
    "Python.h": "python3-dev",
    "zlib.h": "zlib1g-dev",
    "lz4frame.h": "liblz4-dev",
    "zstd.h": "libzstd-dev",
    "snappy-c.h": "libsnappy-dev",
}

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "freethreading_compatible": False,
}


def compile_arguments():
    """Portable by default: the one instruction that matters (CRC-32C) is chosen at run time."""
    arguments = ["-Wall", "-Wno-unused-function", f"-DFASTLOG_DEBUG={int(DEBUG)}"]
    if not DEBUG:  # what only its checks look at
        arguments += ["-Wno-unused-but-set-variable", "-Wno-unused-const-variable"]
    arguments += ["-O1", "-g1"] if DEBUG or SANITIZE else ["-O2", "-g0"]
    if SANITIZE:
        arguments += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer"]
        arguments += ["-fno-sanitize-recover=undefined"] if "undefined" in SANITIZE else []
    arguments += ["-fsanitize-coverage=trace-pc"] if FUZZ else []
    return arguments


def extensions():
    """One Extension for each .pyx, or for the subset asked for."""
    paths = sorted(PACKAGE.glob("*.pyx"))
    if FUZZ:
        paths += sorted((ROOT / "tests" / "fuzz" / "native").glob("*.pyx"))
    wanted = os.environ.get("FASTLOG_MODULES")
    if wanted:
        paths = [path for path in paths if path.stem in wanted.split(",")]
    return [extension(path.relative_to(ROOT)) for path in paths]


def extension(path):
    """The module made of one .pyx."""
    return Extension(
        ".".join(path.with_suffix("").parts),
        [str(path), *SOURCES.get(path.stem, [])],
        include_dirs=[str(path.parent)],
        libraries=LIBRARIES.get(path.stem, []),
        extra_compile_args=compile_arguments(),
        extra_link_args=["-pthread", *([f"-fsanitize={SANITIZE}"] if SANITIZE else [])],
    )


def first_error(text):
    """The line of a compiler's output that says why."""
    lines = text.strip().splitlines()
    return next((line for line in lines if "error" in line), "no reason given")


class BuildExtensions(build_ext):
    """Looks for what the build needs first, then runs Cython, then compiles several at a time."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or JOBS

    def build_extensions(self):
        if self.extensions:
            self.check_tools()
            self.translate()
        super().build_extensions()

    def translate(self):
        """Replaces each .pyx by the C that Cython makes of it."""
        from Cython.Build import cythonize

        made = cythonize(
            self.extensions,
            compiler_directives=DIRECTIVES,
            build_dir="build/cython",
            nthreads=min(JOBS, len(self.extensions)) if len(self.extensions) > 1 else 0,
            force=self.force or None,
            quiet=True,
        )
        by_name = {extension.name: extension for extension in made}
        for extension in self.extensions:
            translated = by_name[extension.name]
            extension.sources, extension.depends = translated.sources, translated.depends

    def check_tools(self):
        """Ends the build with one line that names the package of what is missing."""
        compiler = self.compiler.compiler_so
        with tempfile.TemporaryDirectory() as folder:
            includes = [f"-I{path}" for path in self.compiler.include_dirs + self.include_dirs]
            for header, package in HEADERS.items():
                probe = Path(folder, "probe.c")
                probe.write_text(f"#include <stddef.h>\n#include <{header}>\n")
                command = [*compiler, *includes, "-fsyntax-only", str(probe)]
                try:
                    result = subprocess.run(command, capture_output=True, text=True)
                except OSError:
                    raise SystemExit(
                        f"fastlog: cannot run the C compiler '{compiler[0]}'"
                        " (Debian: apt-get install gcc)"
                    ) from None
                if result.returncode != 0:
                    raise SystemExit(
                        f"fastlog: cannot compile with <{header}>"
                        f" (Debian: apt-get install {package}): {first_error(result.stderr)}"
                    )


# The guard is for Cython's worker processes, which may import this file again.
if __name__ == "__main__":
    setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExtensions})
