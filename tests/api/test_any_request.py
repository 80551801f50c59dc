"""Whatever a well-formed request says, it is answered, and never by a defect."""

import asyncio
import struct

import pytest

from fastlog.api import registry
from fastlog.protocol import RequestHeader, decode_response, encode_request, messages
from tests.api.broker import Broker, Connection, Log
from tests.protocol.content import Maker

CONTROL_PLANE = [
    (key, version)
    for key, served in registry.SERVED.items()
    if served.module is not None
    for version in range(served.min_version, served.max_version + 1)
]


def broker_with_topics(names):
    broker = Broker()
    for name in names:
        broker.topics.add(name, partitions=2)
        broker.logs[name, 0] = Log([(100, 0), (200, 0)])
    return broker


@pytest.mark.parametrize("key, version", CONTROL_PLANE)
def test_made_up_requests_are_answered(key, version):
    api = messages.get(key)
    for turn in range(12):
        request = Maker((key, version, turn)).message(api.request, version)
        frame = encode_request(RequestHeader(key, version, turn, None), request)
        broker = broker_with_topics(["a", ""])
        response = asyncio.run(registry.dispatch(broker, Connection(frame)))
        correlation_id, _ = decode_response(key, version, response)
        assert correlation_id == turn


def test_a_name_that_grows_when_it_is_answered():
    """What is not UTF-8 is replaced by three bytes for one, and is then too long for a name."""
    name = b"\xff" * 20000
    frame = struct.pack(">hhihih", 3, 1, 7, -1, 1, len(name)) + name
    assert asyncio.run(registry.dispatch(Broker(), Connection(frame))) is None
