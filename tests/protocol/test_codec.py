"""What the codec promises beyond equal bytes: bounds, defaults, refusals, headers."""

import contextlib
import random
import struct
import subprocess
import sys
import time

import pytest

from fastlog.protocol import (
    DecodeError,
    EncodeError,
    ErrorCode,
    KafkaError,
    RequestHeader,
    decode_header,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
    messages,
)
from tests.protocol.content import Maker, every_version

METADATA, API_VERSIONS, CONTROLLED_SHUTDOWN = 3, 18, 7


def test_every_cut_of_every_message_is_refused():
    for message_class, version in every_version():
        message = Maker((message_class.__name__, version)).message(message_class, version)
        data = message.encode(version)
        for end in range(0, len(data), max(1, len(data) // 40)):
            with pytest.raises(DecodeError):
                message_class.decode(version, data[:end])


def test_damaged_messages_give_a_message_or_a_decode_error():
    maker = random.Random(7)
    for message_class, version in every_version():
        message = Maker((message_class.__name__, version)).message(message_class, version)
        data = bytearray(message.encode(version)[:2000])
        for _ in range(20):
            for _ in range(3):
                if data:
                    data[maker.randrange(len(data))] = maker.choice([0, 1, 0x7F, 0x80, 0xFF])
            with contextlib.suppress(DecodeError):
                message_class.decode(version, data)


@pytest.mark.parametrize("version, count", [(8, b"\x7f\xff\xff\xff"), (9, b"\xff\xff\xff\xff\x0f")])
def test_a_huge_count_costs_nothing(version, count):
    started = time.perf_counter()
    with pytest.raises(DecodeError):
        messages.request_class(METADATA).decode(version, count + bytes(100))
    assert time.perf_counter() - started < 0.5


def test_varints_are_at_most_five_bytes():
    with pytest.raises(DecodeError):
        messages.request_class(METADATA).decode(9, b"\xff" * 8)


def test_null_where_the_version_has_no_null():
    with pytest.raises(DecodeError):
        messages.request_class(METADATA).decode(0, b"\xff\xff\xff\xff")
    with pytest.raises(EncodeError):
        messages.request_class(METADATA)(topics=None).encode(0)


def test_a_field_that_the_version_lacks():
    request = messages.request_class(METADATA)
    response = messages.response_class(METADATA)
    with pytest.raises(EncodeError):
        request(topics=[], allow_auto_topic_creation=False).encode(3)
    assert response(throttle_time_ms=5, cluster_id="c").encode(0) == response().encode(0)
    assert request.decode(3, request(topics=[]).encode(3)).allow_auto_topic_creation is True


def test_a_version_that_does_not_exist():
    for version in (-1, 99):
        with pytest.raises(DecodeError):
            messages.request_class(METADATA).decode(version, bytes(10))
        with pytest.raises(EncodeError):
            messages.request_class(METADATA)().encode(version)


def test_values_that_do_not_fit():
    response = messages.response_class(METADATA)
    for message in (
        response(controller_id=1 << 31),
        response(cluster_id="x" * 40000),
        response(cluster_id="\ud800"),
    ):
        with pytest.raises(EncodeError):
            message.encode(8)


def test_unknown_tagged_fields_are_skipped():
    request = messages.request_class(API_VERSIONS)
    plain = request(client_software_name="a", client_software_version="1").encode(3)
    assert plain.endswith(b"\x00")
    tagged = plain[:-1] + b"\x02\x05\x01x\x88\x01\x02yz"
    assert request.decode(3, tagged) == request.decode(3, plain)
    many = plain[:-1] + b"\x41" + b"".join(bytes([tag, 0]) for tag in range(65))
    with pytest.raises(DecodeError):
        request.decode(3, many)
    with pytest.raises(DecodeError):
        request.decode(3, plain[:-1] + b"\x01\x05\x7f")


def test_a_known_tagged_field_must_have_the_size_of_its_value():
    response = messages.response_class(API_VERSIONS)
    data = response(zk_migration_ready=True).encode(3)
    assert data.endswith(b"\x01\x03\x01\x01")
    assert response.decode(3, data).zk_migration_ready is True
    with pytest.raises(DecodeError):
        response.decode(3, data[:-4] + b"\x01\x03\x02\x01\x01")


def test_defaults_are_not_shared():
    response = messages.response_class(METADATA)
    first, second = response(), response()
    first.topics.append(1)
    assert second.topics == []


def test_text_that_is_not_utf8_is_replaced_as_in_kafka():
    frame = struct.pack(">hhih", METADATA, 1, 7, 2) + b"\xff\xfe" + b"\xff\xff\xff\xff"
    header, _ = decode_request(frame)
    assert header.client_id == "\ufffd\ufffd"


@pytest.mark.parametrize("client_id", [None, "", "ä client"])
@pytest.mark.parametrize("version", range(14))
def test_request_frames(version, client_id):
    body = messages.request_class(METADATA)(topics=[])
    frame = encode_request(RequestHeader(METADATA, version, 42, client_id), body)
    assert frame[:8] == struct.pack(">hhi", METADATA, version, 42)
    header, decoded = decode_request(frame)
    assert (header.api_key, header.api_version) == (METADATA, version)
    assert (header.correlation_id, header.client_id) == (42, client_id)
    assert decoded == body
    assert decode_header(memoryview(frame))[1] == len(frame) - len(body.encode(version))


def test_the_first_controlled_shutdown_has_no_client_id():
    body = messages.request_class(CONTROLLED_SHUTDOWN)(broker_id=5)
    frame = encode_request(RequestHeader(CONTROLLED_SHUTDOWN, 0, 1, "lost"), body)
    assert frame == struct.pack(">hhii", CONTROLLED_SHUTDOWN, 0, 1, 5)
    assert decode_request(frame)[0].client_id is None


def test_elements_are_counted_over_all_arrays():
    request = messages.request_class(2)(replica_id=-1)  # ListOffsets: topics with partitions
    request.topics = [
        request.ListOffsetsTopic(
            name="t", partitions=[request.ListOffsetsPartition(partition_index=n) for n in range(9)]
        )
        for _ in range(10)
    ]
    data = request.encode(7)
    assert type(request).decode(7, data, elements_max=100) == request
    with pytest.raises(DecodeError, match="more elements"):
        type(request).decode(7, data, elements_max=99)
    assert type(request).decode(7, data) == request


def test_response_frames():
    response = messages.response_class(METADATA)(cluster_id="c")
    for version in range(14):
        frame = encode_response(METADATA, version, -7, response)
        header = b"\xff\xff\xff\xf9" + (b"\x00" if version >= 9 else b"")
        assert frame == header + response.encode(version)
        assert decode_response(METADATA, version, frame)[0] == -7
    versions = messages.response_class(API_VERSIONS)(error_code=35)
    assert encode_response(API_VERSIONS, 3, 1, versions) == b"\x00\x00\x00\x01" + versions.encode(3)


@pytest.mark.parametrize("frame", [b"", bytes(7), struct.pack(">hhi", 999, 0, 0), bytes(8)])
def test_headers_that_are_not(frame):
    with pytest.raises(DecodeError):
        decode_header(frame)


def test_importing_makes_no_class():
    script = (
        "import sys, fastlog.protocol\n"
        "from fastlog.protocol import messages\n"
        "messages.get(3)\n"
        "made = [m for m in sys.modules if m.startswith('fastlog.protocol.definitions.')]\n"
        "assert made == ['fastlog.protocol.definitions.metadata'], made\n"
        "assert 'dataclasses' not in sys.modules and 'asyncio' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_errors():
    error = KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "no such name")
    assert (error.code, error.message) == (17, "no such name")
    assert str(error) == "INVALID_TOPIC_EXCEPTION: no such name"
    assert ErrorCode.NOT_LEADER_OR_FOLLOWER.is_retriable
    assert not ErrorCode.INVALID_CONFIG.is_retriable
