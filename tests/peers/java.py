"""Run Java: Kafka's own tools, and small programs of ours compiled against Kafka's jars."""

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

from tests.peers.cache import cache_folder, kafka_libs
from tests.peers.processes import ProcessFailed, require_program

# A test's JVM lives for seconds: start fast, stay small, leave the other core alone.
JVM_FLAGS = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
JAVA_SOURCES = Path(__file__).parent.parent / "clients" / "java"

_LOG4J1 = """log4j.rootLogger=WARN, err
log4j.appender.err=org.apache.log4j.ConsoleAppender
log4j.appender.err.target=System.err
log4j.appender.err.layout=org.apache.log4j.PatternLayout
log4j.appender.err.layout.ConversionPattern=[%d] %p %m (%c)%n
"""
_LOG4J2 = """<Configuration><Appenders><Console name="err" target="SYSTEM_ERR">
<PatternLayout pattern="[%d] %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="err"/></Root></Loggers></Configuration>
"""


def _content_file(name: str, text: str) -> Path:
    """A small file in the cache, named by its content so that nobody ever rewrites it."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    path = cache_folder() / "conf" / f"{digest}-{name}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_text(text)
        partial.rename(path)
    return path


def logging_flag(release: str) -> str:
    """The JVM flag that sends Kafka's warnings, and only those, to standard error."""
    if release == "3.9":
        return f"-Dlog4j.configuration=file:{_content_file('log4j.properties', _LOG4J1)}"
    return f"-Dlog4j2.configurationFile={_content_file('log4j2.xml', _LOG4J2)}"


def java_command(release: str, main: str, *arguments: object, classes: Path | None = None) -> list:
    """The command line that runs class `main` with the jars of a Kafka release."""
    java = require_program("java", "openjdk-17-jre-headless")
    path = f"{kafka_libs(release)}/*"
    if classes is not None:
        path = f"{classes}:{path}"
    return [java, *JVM_FLAGS, logging_flag(release), "-cp", path, main, *map(str, arguments)]


def run_kafka_tool(
    release: str,
    main: str,
    *arguments: object,
    stdin: str = "",
    deadline_s: float = 60,
    classes: Path | None = None,
) -> str:
    """Run a class to its end; its standard output. A non-zero exit is a failure with its errors."""
    command = java_command(release, main, *arguments, classes=classes)
    try:
        done = subprocess.run(
            command, input=stdin, text=True, capture_output=True, timeout=deadline_s
        )
    except subprocess.TimeoutExpired as error:
        printed = ((error.stdout or b"") + (error.stderr or b"")).decode(errors="replace")
        raise ProcessFailed(f"{main} ran longer than {deadline_s} s\n{printed[-4000:]}") from None
    if done.returncode != 0:
        printed = (done.stdout + done.stderr)[-4000:]
        raise ProcessFailed(f"{main} {arguments}: exit status {done.returncode}\n{printed}")
    return done.stdout


def dump_log_segments(files: list[Path], *flags: str, release: str = "3.9") -> str:
    """Kafka's DumpLogSegments over log and index files."""
    joined = ",".join(map(str, files))
    return run_kafka_tool(release, "kafka.tools.DumpLogSegments", "--files", joined, *flags)


def compiled(source: str, release: str) -> Path:
    """The folder with the classes of tests/clients/java/`source`, compiled once per content."""
    javac = require_program("javac", "openjdk-17-jdk-headless")
    text = (JAVA_SOURCES / source).read_bytes()
    jars = sorted(jar.name for jar in kafka_libs(release).glob("*.jar"))
    digest = hashlib.sha256(text + repr(jars).encode()).hexdigest()[:20]
    folder = cache_folder() / "classes" / digest
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            command = [javac, "-Xlint:-options", "-nowarn", "-d", folder]
            command += ["-cp", f"{kafka_libs(release)}/*", JAVA_SOURCES / source]
            done = subprocess.run(command, text=True, capture_output=True)
            if done.returncode != 0:
                raise ProcessFailed(f"javac {source} against {release}:\n{done.stderr}")
            (folder / "done").touch()
    return folder
