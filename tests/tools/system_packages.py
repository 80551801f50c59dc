"""What a verb needs from the system, and how it gets there.

A need is tested by what it gives (a header that the compiler finds, a program on the PATH), never
by a package's name, so that a machine set up in another way is left alone.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.tools.report import Failure, run_logged, say

OLDEST_JAVA = 17  # Kafka 4 needs it, and the tests' small programs are run from source


def has_header(name):
    """Whether the C compiler finds `name`; without a compiler, whether the usual folder has it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return Path("/usr/include", name).exists()
    probe = subprocess.run(
        [compiler, "-E", "-x", "c", "-"],
        input=f"#include <{name}>\n",
        text=True,
        capture_output=True,
    )
    return probe.returncode == 0


def has_python_header():
    """Whether this Python can be compiled against."""
    return Path(sysconfig.get_path("include"), "Python.h").exists()


def has_venv():
    """Whether `python -m venv` makes a folder with pip in it: Debian ships ensurepip apart."""
    return all(importlib.util.find_spec(name) for name in ("venv", "ensurepip"))


def has_compiler():
    """Whether there is a C compiler with its linker's files."""
    return bool(shutil.which("cc") or shutil.which("gcc")) and has_header("stdio.h")


def has_java():
    """Whether there is a JDK new enough (a JRE cannot run a program from its source)."""
    compiler = shutil.which("javac")
    if compiler is None or shutil.which("java") is None:
        return False
    answer = subprocess.run([compiler, "-version"], text=True, capture_output=True)
    version = re.search(r"javac (\d+)", answer.stdout + answer.stderr)
    return version is not None and int(version[1]) >= OLDEST_JAVA


def this_python():
    """The prefix of the Debian packages that belong to the Python that runs this."""
    return f"python3.{sys.version_info.minor}"


# need: (test, Debian packages: of several names the first that the release knows is taken)
BUILD = {
    "a C compiler": (has_compiler, ["gcc"], ["libc6-dev"]),
    "Python.h": (has_python_header, [f"{this_python()}-dev"]),
    "python venv with pip": (has_venv, [f"{this_python()}-venv"]),
    "zlib.h": (lambda: has_header("zlib.h"), ["zlib1g-dev"]),
    "lz4frame.h": (lambda: has_header("lz4frame.h"), ["liblz4-dev"]),
    "zstd.h": (lambda: has_header("zstd.h"), ["libzstd-dev"]),
    "snappy-c.h": (lambda: has_header("snappy-c.h"), ["libsnappy-dev"]),
}
TEST = {
    "a JDK": (
        has_java,
        [f"openjdk-{version}-jdk-headless" for version in (17, 21, 25)] + ["default-jdk-headless"],
    ),
    "mvn": (lambda: shutil.which("mvn"), ["maven"]),
    "kcat": (lambda: shutil.which("kcat"), ["kcat", "kafkacat"]),
    # the benchmarks, which the tests run too
    "librdkafka/rdkafka.h": (lambda: has_header("librdkafka/rdkafka.h"), ["librdkafka-dev"]),
    "git": (lambda: shutil.which("git"), ["git"]),  # asv keeps its results by commit
    "strace": (lambda: shutil.which("strace"), ["strace"]),
    "valgrind": (lambda: shutil.which("valgrind"), ["valgrind"]),
}


def require(needs):
    """Makes sure of all `needs`: installs by apt where allowed, else names what is missing."""
    missing = {need: entry[1:] for need, entry in needs.items() if not entry[0]()}
    if not missing:
        return
    become_root = how_to_become_root()
    names = [choices[0] for groups in missing.values() for choices in groups]
    if become_root is None:
        raise Failure(
            f"missing: {', '.join(missing)}; install with:\n    apt-get install {' '.join(names)}"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    say("apt-get update")
    run_logged(
        "apt-get update", [*become_root, "apt-get", "update", "-qq"], environment=environment
    )
    names = [first_known(choices) for groups in missing.values() for choices in groups]
    say(f"apt-get install {' '.join(names)}")
    command = [
        *become_root,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
        "-y",
        "-qq",
    ]
    command += ["--no-install-recommends", *names]
    run_logged("apt-get install", command, environment=environment)
    importlib.invalidate_caches()
    still = [need for need in missing if not needs[need][0]()]
    if still:
        raise Failure(f"still missing after apt-get install {' '.join(names)}: {', '.join(still)}")


def how_to_become_root():
    """The prefix of a command that installs packages, or None where we may not."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return [sudo, "-n"]
    return None


def first_known(names):
    """The first of `names` that this release of Debian or Ubuntu can install."""
    for name in names:
        policy = subprocess.run(
            ["apt-cache", "policy", name], text=True, capture_output=True
        ).stdout
        if re.search(r"Candidate: (?!\(none\))\S", policy):
            return name
    return names[0]
