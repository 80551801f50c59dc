"""The verbs of `./dev`."""

import os
import subprocess
import sys

from tests.tools import environment, extensions, java_trust, system_packages
from tests.tools.report import ROOT, Failure, say


def run(arguments):
    """starts a broker: arguments are those of `fastlog serve`"""
    prepare("run")
    command = [str(environment.PYTHON), "-m", "fastlog", "serve", *arguments]
    os.execve(command[0], command, environment.tool_environment())


def test(arguments):
    """runs the tests: arguments are pytest's"""
    system_packages.require({**system_packages.BUILD, **system_packages.TEST})
    environment.ensure("test")
    tree = extensions.ensure("debug" if os.environ.get("FASTLOG_DEBUG") == "1" else "release")
    options = java_trust.maven_options()
    fetch_peers(options)
    return in_environment(["pytest", *arguments], tree, MAVEN_OPTS=options)


def lint(arguments):
    """runs every check that needs no running broker"""
    from tests.tools import linting

    prepare("test")
    return linting.run(arguments)


def bench(arguments):
    """runs benchmarks/: arguments are those of `python -m benchmarks`"""
    prepare("test")
    system_packages.require(system_packages.TEST)
    if arguments[:1] == ["peers"]:
        fetch_peers(java_trust.maven_options())
    return in_environment(["python", "-m", "benchmarks", *arguments], ROOT)


def fuzz(arguments):
    """feeds broken bytes to the parsers, under AddressSanitizer: [--seconds N] [--seed N]"""
    from tests.tools import sanitizing

    prepare("test")
    return sanitizing.fuzz(arguments)


def sanitize(arguments):
    """runs the tests marked `native` under sanitizers: [address|thread], then pytest's arguments"""
    from tests.tools import sanitizing

    prepare("test")
    return sanitizing.run(arguments)


def docs(arguments):
    """builds docs/ into .dev/site: arguments are those of `mkdocs build`"""
    system_packages.require({key: system_packages.BUILD[key] for key in ["python venv with pip"]})
    environment.ensure("docs")
    command = ["mkdocs", "build", "--strict", "--quiet", "-f", "tests/tools/mkdocs.yml", *arguments]
    code = in_environment(command, ROOT)
    if code == 0:
        say("built .dev/site; begin at .dev/site/ARCHITECTURE.html")
    return code


VERBS = {verb.__name__: verb for verb in (run, test, lint, bench, fuzz, sanitize, docs)}


def prepare(group):
    """What the broker needs to start from the checkout; quick when all of it is there."""
    if not environment.PYTHON.exists() or not extensions.current():
        system_packages.require(system_packages.BUILD)
    environment.ensure(group)
    extensions.ensure()


def fetch_peers(options):
    """The real Kafka and ZooKeeper that tests compare with, from their published jars."""
    if not (ROOT / "tests" / "peers" / "setup.py").exists():
        return
    say("python -m tests.peers.setup")
    if in_environment(["python", "-m", "tests.peers.setup"], ROOT, MAVEN_OPTS=options) != 0:
        raise Failure("could not fetch the programs that the tests compare with (see above)")


def in_environment(command, tree, **more):
    """Runs a program of `.venv` in `tree`, our output its output. Returns its exit code."""
    variables = environment.tool_environment(**more)
    if tree != ROOT:
        variables["PYTHONPATH"] = str(tree)
    program = environment.FOLDER / "bin" / command[0]
    try:
        return subprocess.run([str(program), *command[1:]], cwd=tree, env=variables).returncode
    except OSError as error:
        raise Failure(f"{program}: {error.strerror}") from None
    except KeyboardInterrupt:
        return 130


def usage():
    """What `./dev` alone prints."""
    lines = [f"  {name:<9} {' '.join(verb.__doc__.split())}" for name, verb in VERBS.items()]
    return "usage: ./dev VERB [arguments]\n\n" + "\n".join(lines)


def main(argv):
    """Runs one verb. Returns its exit code; 2 for a wrong verb, 1 for a step that failed."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    verb = VERBS.get(argv[0])
    if verb is None:
        print(f"dev: there is no verb '{argv[0]}'\n{usage()}", file=sys.stderr)
        return 2
    try:
        return verb(argv[1:]) or 0
    except Failure as failure:
        say(failure)
        return 1
    except KeyboardInterrupt:
        return 130
