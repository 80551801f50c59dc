"""Fetch sessions (KIP-227): what is remembered, for whom, and for how long.

What Kafka answers, case by case, is held in tests/clients.
"""

import random
import time

import pytest

from .waiting import wait_until
from .wire import batch, fetch, offsets_of, read_fetched, read_session

pytestmark = pytest.mark.native
ID_NOT_FOUND, WRONG_EPOCH = 70, 71
VERSION = 11


class Session:
    """A client's side of one session."""

    def __init__(self, client, topics, version=VERSION, **settings):
        self.client, self.version = client, version
        self.epoch = self.id = 0
        self.id = self.fetch(topics, **settings)[2]

    def send(self, topics, **settings):
        session = settings.pop("session", (self.id, self.epoch))
        self.client.send(fetch(topics, version=self.version, session=session, **settings))
        self.epoch += 1

    def receive(self):
        """(error, {(topic, partition): answer}, session id)."""
        data = self.client.receive()
        _, error, parts = read_fetched(data, self.version)
        found = {(part.topic, part.index): part for part in parts}
        assert len(found) == len(parts), "a partition is answered twice"
        return error, found, read_session(data, self.version)

    def fetch(self, topics=(), **settings):
        self.send(dict(topics), **settings)
        return self.receive()


def test_an_answer_holds_only_what_is_new(broker):
    logs = broker.topic("t", 300)
    with broker.client() as client:
        session = Session(client, {"t": [(index, 0) for index in range(300)]})
        assert session.id > 0
        assert session.fetch() == (0, {}, session.id)
        logs[7].append(batch(b"x"))
        error, parts, _ = session.fetch(max_wait=5000)
        assert error == 0 and list(parts) == [("t", 7)]
        assert offsets_of(parts["t", 7].records) == [0]
        assert session.fetch({"t": [(7, 1)]})[1] == {}


def random_walk(broker, seed):
    """A client that adds, moves and forgets partitions at random, beside a plain model."""
    choices = random.Random(seed)
    logs = {(name, i): log for name in "ab" for i, log in broker.topic(name, 20).items()}
    places, told = {}, {}
    with broker.client() as client:
        session = Session(client, {})
        for _ in range(300):
            for key in choices.sample(sorted(logs), 3):
                logs[key].append(batch(b"x" * choices.randrange(200)))
            named, forgotten = {}, {}
            for key in choices.sample(sorted(logs), choices.randrange(6)):
                places[key] = choices.randrange(logs[key].end_offset + 1)
                told.setdefault(key, None)
                named.setdefault(key[0], []).append((key[1], places[key]))
            for key in choices.sample(sorted(logs), choices.randrange(6)):
                if choices.random() < 0.5:
                    forgotten.setdefault(key[0], []).append(key[1])
                    places.pop(key, None)
                    told.pop(key, None)
            error, parts, session_id = session.fetch(named, forgotten=forgotten)
            assert error == 0
            if not places:
                assert session_id == 0
                session = Session(client, {})
                told.clear()
                continue
            expected = {}
            for key, place in places.items():
                end = logs[key].end_offset
                if end > place or told[key] != end:
                    expected[key] = logs[key].read(place, 1 << 20)[1]
                told[key] = end
            assert {key: part.records for key, part in parts.items()} == expected


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_requests(broker, seed):
    random_walk(broker, seed)


def test_no_partition_starves(broker):
    logs = broker.topic("t", 10)
    for log in logs.values():
        log.append(batch(b"x" * 1000))
    with broker.client() as client:
        session = Session(client, {"t": [(index, 0) for index in range(10)]}, max_bytes=1)
        served = []
        for _ in range(20):
            _, parts, _ = session.fetch(max_bytes=1)
            served += [key[1] for key, part in parts.items() if part.records]
        assert served[:10] != served[0] * 10 and sorted(served) == sorted([*range(10)] * 2)


def test_a_session_goes_on_over_another_connection(broker):
    log = broker.topic("t", 2)[1]
    with broker.client() as one, broker.client() as two, broker.client() as three:
        session = Session(one, {"t": [(0, 0), (1, 0)]})
        for number, client in enumerate([two, three, one, two]):
            session.client = client
            log.append(batch(b"x"))
            error, parts, _ = session.fetch({"t": [(1, number)]})
            assert error == 0 and offsets_of(parts["t", 1].records) == [number]
    assert broker.plane.stats()["fetch_sessions"] == 1


def test_one_request_at_a_time_holds_a_session(broker):
    log = broker.topic("t")[0]
    with broker.client() as one, broker.client() as two:
        session = Session(one, {"t": [(0, 0)]})
        session.send({}, max_wait=20000)
        while not broker.plane.stats()["fetches_parked"]:
            time.sleep(0.001)
        session.client = two
        assert session.fetch()[0] == WRONG_EPOCH
        new = Session(two, {"t": [(0, 0)]})
        new.epoch = 0
        new.id = new.fetch({"t": [(0, 0)]}, session=(session.id, 0))[2]
        assert new.id not in (0, session.id)
        log.append(batch(b"x"))  # the session is gone, the request that waits in it is not
        session.client = one
        error, parts, _ = session.receive()
        assert error == 0 and offsets_of(parts["t", 0].records) == [0]
        assert session.fetch()[0] == ID_NOT_FOUND
        assert new.fetch()[1]["t", 0].records


def test_requests_of_a_session_follow_one_another(broker):
    """Sent at once over one connection, they are as good as one after the other."""
    broker.topic("t", 3)
    with broker.client() as client:
        session = Session(client, {"t": [(0, 0)]})
        for index in (1, 2):
            session.send({"t": [(index, 0)]}, max_wait=50)
        assert [list(session.receive()[1]) for _ in range(2)] == [[("t", 1)], [("t", 2)]]


def test_a_session_outlives_the_connection_it_waited_on(broker):
    log = broker.topic("t")[0]
    with broker.client() as client:
        session = Session(client, {"t": [(0, 0)]})
        session.send({}, max_wait=20000)
        while not broker.plane.stats()["fetches_parked"]:
            time.sleep(0.001)
    while broker.plane.stats()["connections"]:
        time.sleep(0.001)
    log.append(batch(b"x"))
    with broker.client() as client:
        session.client = client
        assert session.fetch()[1]["t", 0].records


def test_a_full_cache_gives_no_session(make_broker):
    broker = make_broker(fetch_sessions=2)
    broker.topic("t", 5)
    with broker.client() as client:
        first = Session(client, {"t": [(0, 0)]})
        ids = [Session(client, {"t": [(index, 0) for index in range(5)]}).id for _ in range(3)]
        assert ids[0] and ids[1:] == [0, 0]
        assert first.fetch()[0] == 0
        assert first.fetch(session=(first.id, -1))[2] == 0  # closed
        assert Session(client, {"t": [(0, 0)]}).id


def test_an_unused_session_gives_way(make_broker):
    broker = make_broker(fetch_sessions=1, fetch_session_eviction_ms=0)
    broker.topic("t")
    with broker.client() as client:
        first = Session(client, {"t": [(0, 0)]})
        while not (second := Session(client, {"t": [(0, 0)]})).id:
            time.sleep(0.001)
        assert first.fetch()[0] == ID_NOT_FOUND and second.fetch()[0] in (0, ID_NOT_FOUND)


def test_a_larger_session_takes_the_place_of_an_old_smaller_one(make_broker):
    broker = make_broker(fetch_sessions=2, fetch_session_eviction_ms=300)
    broker.topic("t", 5)
    with broker.client() as client:
        large = Session(client, {"t": [(index, 0) for index in range(5)]})
        small = Session(client, {"t": [(0, 0)]})
        time.sleep(0.4)
        assert small.fetch()[0] == 0 and large.fetch()[0] == 0  # used again, and no longer young
        assert Session(client, {"t": [(0, 0), (1, 0)]}).id
        assert small.fetch()[0] == ID_NOT_FOUND and large.fetch()[0] == 0


def test_sessions_take_a_part_of_the_memory(make_broker):
    broker = make_broker(request_memory=1 << 21)
    broker.topic("t", 2000)
    with broker.client() as client:
        everything = {"t": [(index, 0) for index in range(2000)]}
        assert Session(client, everything).id == 0
        small = Session(client, {"t": [(0, 0)]})
        assert small.id
        assert small.fetch(everything)[0] == ID_NOT_FOUND
        assert broker.plane.stats()["fetch_sessions"] == 0


def test_sessions_that_grow_share_one_bound(make_broker):
    """Small when they begin: what they take on later counts together as well."""
    broker = make_broker(request_memory=1 << 21)
    broker.topic("t", 1)
    names = [{"t": [(1000 * part + index, 0) for index in range(1000)]} for part in range(3)]
    with broker.client() as client:
        sessions = [Session(client, {"t": [(0, 0)]}) for _ in range(20)]
        assert all(session.id for session in sessions)
        answers = [session.fetch(more)[0] for session in sessions for more in names[:1]]
    assert answers[0] == 0 and ID_NOT_FOUND in answers


@pytest.mark.parametrize(
    "named", [{"t": range(131073)}, dict.fromkeys(map(str, range(131073)), ())]
)
def test_nobody_forgets_more_than_a_session_may_be_told(broker, named):
    """Else one request keeps its reactor looking up millions."""
    broker.topic("t")
    with broker.client() as client:
        session = Session(client, {"t": [(0, 0)]})
        session.send({}, forgotten=named)
        client.expect_close()


def test_a_fetch_of_no_session_that_ends_does_not_let_the_next_of_one_in(broker):
    """It would find the session in use, and be told a wrong epoch."""
    logs = {name: broker.topic(name)[0] for name in "ab"}
    with broker.client() as client:
        session = Session(client, {"b": [(0, 0)]})
        client.send(fetch({"a": [(0, 0)]}, max_wait=60_000))
        session.send({}, max_wait=60_000)
        session.send({})
        wait_until(lambda: broker.plane.stats()["fetches_parked"] == 2)
        logs["a"].append(batch(b"x"))
        assert read_fetched(client.receive(), VERSION)[2][0].records
        logs["b"].append(batch(b"y"))
        error, parts, _ = session.receive()
        assert error == 0 and offsets_of(parts["b", 0].records) == [0]
        assert session.receive()[0] == 0
