"""Request and response headers, and whole frames (what follows the four-byte length prefix).

Which header a message has depends on its API and version: KIP-482 (flexible versions), KIP-511 (the
answer to ApiVersions keeps header 0, since it tells which versions there are), and
ControlledShutdown 0, which predates client ids. The client id keeps its two-byte length even in the
flexible header.
"""

from __future__ import annotations

import struct
from typing import Any

from fastlog.protocol import messages, primitives
from fastlog.protocol.messages import Buffer, Message
from fastlog.protocol.primitives import DecodeError

API_VERSIONS = 18
CONTROLLED_SHUTDOWN = 7

_request_start = struct.Struct(">hhi")
_correlation = struct.Struct(">i")


class RequestHeader:
    """What stands before a request's body. `client_id` is None where the client sent none.

    `connection` is for a server: what the request came by.
    """

    __slots__ = ("api_key", "api_version", "client_id", "connection", "correlation_id")

    def __init__(
        self, api_key: int, api_version: int, correlation_id: int, client_id: str | None = None
    ) -> None:
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.connection: Any = None

    def __repr__(self) -> str:
        return (
            f"RequestHeader(api_key={self.api_key}, api_version={self.api_version}, "
            f"correlation_id={self.correlation_id}, client_id={self.client_id!r})"
        )


def request_header_version(api_key: int, version: int) -> int:
    if api_key == CONTROLLED_SHUTDOWN and version == 0:
        return 0
    return 2 if messages.get(api_key).is_flexible(version) else 1


def response_header_version(api_key: int, version: int) -> int:
    return 1 if api_key != API_VERSIONS and messages.get(api_key).is_flexible(version) else 0


def decode_header(frame: Buffer) -> tuple[RequestHeader, int]:
    """A frame's header and where its body begins. Raises DecodeError; so does an unknown key."""
    view = memoryview(frame)
    end = len(view)
    if end < _request_start.size:
        raise DecodeError("a request shorter than its header")
    header = RequestHeader(*_request_start.unpack_from(view, 0))
    at = _request_start.size
    header_version = request_header_version(header.api_key, header.api_version)
    if header_version >= 1:
        header.client_id, at = primitives.read_string_or_null(view, at, end)
    if header_version >= 2:
        at = primitives.skip_tags(view, at, end)
    return header, at


def decode_request(frame: Buffer) -> tuple[RequestHeader, Message]:
    """A frame's header and body. Raises DecodeError."""
    header, at = decode_header(frame)
    return header, messages.get(header.api_key).request.decode(header.api_version, frame, at)


def encode_response(api_key: int, version: int, correlation_id: int, body: Message) -> bytes:
    """The frame of a response. Raises EncodeError."""
    out = bytearray(_correlation.pack(correlation_id))
    if response_header_version(api_key, version) >= 1:
        out.append(0)
    body.encode_into(version, out)
    return bytes(out)


def encode_request(header: RequestHeader, body: Message) -> bytes:
    """The frame of a request, as a client sends it. Raises EncodeError."""
    out = bytearray(_request_start.pack(header.api_key, header.api_version, header.correlation_id))
    header_version = request_header_version(header.api_key, header.api_version)
    if header_version >= 1:
        primitives.write_string_or_null(out, header.client_id)
    if header_version >= 2:
        out.append(0)
    body.encode_into(header.api_version, out)
    return bytes(out)


def decode_response(api_key: int, version: int, frame: Buffer) -> tuple[int, Message]:
    """The correlation id and the body of a response's frame, as a client reads it."""
    view = memoryview(frame)
    if len(view) < _correlation.size:
        raise DecodeError("a response shorter than its header")
    (correlation_id,) = _correlation.unpack_from(view, 0)
    at = _correlation.size
    if response_header_version(api_key, version) >= 1:
        at = primitives.skip_tags(view, at, len(view))
    return correlation_id, messages.get(api_key).response.decode(version, view, at)
