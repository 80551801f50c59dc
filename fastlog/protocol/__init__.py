"""The Kafka protocol: messages for every API and version, their codec, and Kafka's error codes."""

from fastlog.protocol.errors import ErrorCode, KafkaError
from fastlog.protocol.headers import (
    RequestHeader,
    decode_header,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from fastlog.protocol.primitives import ZERO_UUID, DecodeError, EncodeError

__all__ = [
    "ZERO_UUID",
    "DecodeError",
    "EncodeError",
    "ErrorCode",
    "KafkaError",
    "RequestHeader",
    "decode_header",
    "decode_request",
    "decode_response",
    "encode_request",
    "encode_response",
]
