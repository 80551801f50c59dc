"""Start, stop, fork, exit, and the interpreter's lock."""

import ctypes
import os
import platform
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from fastlog_ext.reactor import DataPlane
from fastlog_ext.topics import Topics

from .waiting import wait_until
from .wire import batch, fetch, produce, read_fetched

ROOT = Path(__file__).parents[2]


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", textwrap.dedent(code), *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_the_interpreter_lock_stops_nobody(broker):
    """A thread holds the lock for two seconds; another process produces and fetches meanwhile, and
    what was at work on the log when the lock was taken does not keep the log from others."""
    (log,) = broker.topic("t").values()
    host, port = broker.address
    ending = threading.Event()

    def tend():
        while not ending.is_set():
            assert not log.roll_if_due(0)
            log.flush()

    tending = threading.Thread(target=tend)
    tending.start()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.dataplane.load", host, str(port), "t", "2.4"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout.readline() == "ready\n"
    before = time.monotonic()
    ctypes.PyDLL(None).usleep(2_000_000)  # PyDLL: called with the lock held
    held = time.monotonic() - before
    out, _ = worker.communicate(timeout=30)
    ending.set()
    tending.join()
    rounds, worst = out.split()
    assert worker.returncode == 0 and held >= 2
    assert int(rounds) > 100 and float(worst) < 1, "they waited for the lock"


def hammer(broker, ending, problems):
    data = batch(b"x" * 500)
    while not ending.is_set():
        try:
            with broker.client(timeout=5) as client:
                while not ending.is_set():
                    client.send(
                        *(produce({"t": [(n % 4, data)]}, acks=-1) for n in range(8)),
                        fetch({"t": [(n, 1 << 40) for n in range(3)]}, max_wait=20),
                        fetch({"t": [(3, 0)]}, max_wait=20),
                    )
                    for _ in range(10):
                        client.receive()
        except TimeoutError as problem:
            problems.append(problem)
        except OSError:
            return


@pytest.mark.parametrize("drain", (0, 1))
def test_stop_under_load(make_broker, drain):
    for _ in range(8):
        broker = make_broker()
        broker.topic("t", 4)
        ending, problems = threading.Event(), []
        threads = [
            threading.Thread(target=hammer, args=(broker, ending, problems)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda broker=broker: broker.plane.stats()["produce_requests"] > 200)
        assert broker.plane.stop(drain)
        ending.set()
        for thread in threads:
            thread.join()
        assert not problems
        stats = broker.plane.stats()
        assert stats["connections"] == 0 and stats["request_memory"] == 0
        with pytest.raises(OSError, match="."):
            broker.client()


def test_stop_answers_parked_fetches(broker):
    broker.topic("t", 2)
    with broker.client() as client:
        client.send(fetch({"t": [(0, 0), (1, 0)]}, max_wait=60000))
        wait_until(lambda: broker.plane.stats()["fetches_parked"] == 1)
        started = time.monotonic()
        assert broker.plane.stop(5)
        assert time.monotonic() - started < 2
        assert [p.error for p in read_fetched(client.receive(), 11)[2]] == [0, 0]
        client.expect_close()
    assert broker.plane.stop(5)


def test_stop_waits_for_the_control_plane(broker, control):
    def answer(request):
        time.sleep(0.3)
        return request.frame[4:8]

    control(answer)
    with broker.client() as client:
        client.send(b"\0\x03\0\1\0\0\0\x07\xff\xff")
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
        assert broker.plane.stop(5)
        assert client.receive() == b"\0\0\0\x07"


def test_a_request_that_nobody_answers_does_not_hold_the_stop():
    plane = DataPlane(Topics(), reactors=1, node_id=1)
    address = plane.listen("127.0.0.1", 0, "A")
    plane.start()
    with socket.create_connection(address) as client:
        client.sendall(b"\0\0\0\x0a\0\x03\0\1\0\0\0\x07\xff\xff")
        wait_until(lambda: plane.stats()["other_requests"] == 1)
        (request,) = plane.take_requests(5)
        assert plane.stop(0) is False  # its memory stays, so that a late answer meets nothing freed
        request.respond(b"late")


def test_a_request_that_nobody_takes_is_refused_at_the_stop(broker):
    with broker.client() as client:
        client.send(b"\0\x03\0\1\0\0\0\x07\xff\xff")
        wait_until(lambda: broker.plane.stats()["other_requests"] == 1)
        assert broker.plane.stop(0)
        client.expect_close()


def test_stop_and_start_without_connections():
    for _ in range(20):
        plane = DataPlane(Topics(), reactors=3, node_id=1)
        plane.listen("127.0.0.1", 0, "A")
        plane.start()
        assert plane.stop(0) and plane.stop(0)
        with pytest.raises(RuntimeError):
            plane.start()
    DataPlane(Topics(), reactors=2, node_id=1)  # never started


def test_a_stop_that_was_forgotten(tmp_path):
    """The interpreter ends under load, with everything open."""
    done = python(
        """
        import socket, sys, os
        sys.path.insert(0, os.getcwd())
        from pathlib import Path
        from tests.dataplane.conftest import Broker
        from tests.dataplane.wire import fetch, produce, batch
        broker = Broker(Path(sys.argv[1]))
        broker.topic("t", 2)
        broker.plane.start()
        client = broker.client()
        client.send(*[produce({"t": [(0, batch(b"x"))]})] * 50)
        client.receive()
        client.send(fetch({"t": [(1, 0)]}, max_wait=60000))
        client.send(b"\\0\\x03\\0\\1\\0\\0\\0\\x07\\xff\\xff")
        print("end")
    """,
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_after_a_fork_the_child_has_nothing(tmp_path):
    done = python(
        """
        import os, sys, socket, time
        sys.path.insert(0, os.getcwd())
        from pathlib import Path
        from tests.dataplane.conftest import Broker
        from tests.dataplane.wire import batch
        broker = Broker(Path(sys.argv[1]))
        broker.topic("t")
        broker.plane.start()
        client = broker.client()
        assert client.fetch({"t": [(0, 0)]})[0].error == 0
        child = os.fork()
        if child == 0:
            client.socket.close()
            kinds = ("socket:", "anon_inode:[eventp")
            folder = "/proc/self/fd/"
            listening = [
                fd for fd in os.listdir(folder)
                if os.path.exists(folder + fd) and os.readlink(folder + fd).startswith(kinds)]
            status = 10 if listening else 0
            for call in (broker.plane.stats, broker.plane.take_requests,
                         lambda: broker.plane.stop(0), lambda: broker.plane.request_fd):
                try:
                    call()
                    status = 11
                except RuntimeError:
                    pass
            os._exit(status)
        _, status = os.waitpid(child, 0)
        assert client.produce({"t": [(0, batch(b"x"))]})[0].error == 0
        assert broker.close()
        print(os.waitstatus_to_exitcode(status))
    """,
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "0\n"), done.stderr


def slice_of(thread):
    """Nanoseconds that the thread asked the scheduler for, by sched_getattr(2); 0: nothing."""
    call = {"x86_64": 315, "aarch64": 275}[platform.machine()]
    told = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(call, thread, told, len(told), 0) == 0
    return struct.unpack_from("Q", told, 24)[0]


def test_reactors_ask_for_short_slices(make_broker):
    """Linux 6.12 and newer give them, and tell; the thread that started them keeps its own."""
    knows = tuple(int(part) for part in platform.release().split(".")[:2]) >= (6, 12)
    before = set(os.listdir("/proc/self/task"))
    own = slice_of(0)
    make_broker(reactors=2)
    threads = set(os.listdir("/proc/self/task")) - before
    assert len(threads) == 2
    for thread in threads:
        wait_until(lambda thread=int(thread): slice_of(thread) == (100_000 if knows else own))
    assert slice_of(0) == own
