"""Which requests are served, in which versions, and by whom. ApiVersions answers from here.

An API is listed when it works, in the versions from Kafka 3.9's oldest to Kafka 4.1's newest:
clients infer a broker's age from the newest versions, so these must be those of one release.
Handler modules are imported on their first request.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from fastlog.api.context import Connection, Context
from fastlog.noticed import Noticed
from fastlog.protocol import (
    DecodeError,
    EncodeError,
    RequestHeader,
    decode_header,
    encode_response,
    messages,
)

noticed = Noticed(logging.getLogger("fastlog.api"))

Handler = Callable[[Context, RequestHeader, messages.Message], Awaitable[messages.Message]]

# How many elements the answer to a short request has.
Weight = Callable[[Context, messages.Message], int]

API_VERSIONS = 18
# A longer frame is answered beside the event loop, and so is what asks for more elements than this.
SMALL = 1024
FEW = 200
ELEMENT = 64  # bytes that an element of an answer counts for


class Served(NamedTuple):
    """The versions of one API, both ends included, and the module that answers it."""

    min_version: int
    max_version: int
    module: str | None  # None: the data plane answers


SERVED: dict[int, Served] = {
    # Advertised from 0 but served from 3, as in Kafka 4 (KAFKA-18659): librdkafka before 2.12
    # takes a later start for a broker without compression.
    0: Served(0, 13, None),
    1: Served(4, 18, None),
    2: Served(0, 10, "list_offsets"),
    3: Served(0, 13, "metadata"),
    10: Served(0, 6, "find_coordinator"),
    API_VERSIONS: Served(0, 4, "api_versions"),
    19: Served(0, 7, "create_topics"),
    20: Served(0, 6, "delete_topics"),
    21: Served(0, 2, "delete_records"),
    22: Served(0, 5, "init_producer_id"),
    60: Served(0, 2, "describe_cluster"),
}

# fastlog's own: served, not advertised.
OWN: dict[int, Served] = {30001: Served(0, 0, "describe_retention")}

_handlers: dict[int, Handler] = {}
_weights: dict[int, Weight] = {}


def handler_of(api_key: int) -> Handler:
    """The function that answers an API that the control plane serves."""
    handler = _handlers.get(api_key)
    if handler is None:
        served = SERVED.get(api_key) or OWN[api_key]
        module = importlib.import_module(f"fastlog.api.{served.module}")
        declared = (module.KEY, module.MIN_VERSION, module.MAX_VERSION)
        if declared != (api_key, served.min_version, served.max_version):
            raise RuntimeError(f"{module.__name__} declares {declared}, the registry {served}")
        handler = _handlers[api_key] = module.handle
        _weights[api_key] = getattr(module, "weight", _weightless)
    return handler


def _weightless(context: Context, request: messages.Message) -> int:
    return 0


async def dispatch(context: Context, connection: Connection) -> bytes | None:
    """The response to one request: header and body. None: close the connection, as Kafka does
    for what it does not serve or cannot read.
    """
    size = len(connection.frame)
    if size > SMALL:
        return await context.aside(size, partial(_answer, context, connection, is_aside=True))
    return await _answer(context, connection, is_aside=False)


async def _answer(context: Context, connection: Connection, *, is_aside: bool) -> bytes | None:
    try:
        header, at = decode_header(connection.frame)
        served = SERVED.get(header.api_key) or OWN.get(header.api_key)
        if served is None or served.module is None:
            refuse(connection, f"no API with key {header.api_key} here")
            return None
        if not served.min_version <= header.api_version <= served.max_version:
            if header.api_key == API_VERSIONS:
                return unsupported_api_versions(header)
            refuse(connection, f"API {header.api_key} has no version {header.api_version} here")
            return None
        request = messages.request_class(header.api_key).decode(
            header.api_version,
            connection.frame,
            at,
            elements_max=context.settings["fastlog.request.elements.max"],
        )
    except DecodeError as error:
        refuse(connection, str(error))
        return None
    header.connection = connection
    handler = handler_of(header.api_key)
    work = partial(_handle, handler, context, header, request)
    if is_aside:
        return await work()
    weight = _weights[header.api_key](context, request)
    return await (context.aside(weight * ELEMENT, work) if weight > FEW else work())


async def _handle(
    handler: Handler, context: Context, header: RequestHeader, request: messages.Message
) -> bytes | None:
    response = await handler(context, header, request)
    try:
        return encode_response(header.api_key, header.api_version, header.correlation_id, response)
    except EncodeError as error:
        # A name that is not UTF-8 is answered with up to three times the bytes that came.
        refuse(header.connection, str(error), kind="unanswerable")
        return None
    finally:
        messages.dismantle(request)
        messages.dismantle(response)


def refuse(connection: Connection, reason: str, kind: str = "malformed") -> None:
    noticed.tell(kind, "{}:{}: {}".format(*connection.peer, reason))


def unsupported_api_versions(header: RequestHeader) -> bytes:
    """The answer to an ApiVersions of the future (KIP-511): version 0, which every client reads,
    with the versions of ApiVersions itself, so that the client asks again.
    """
    from fastlog.api import api_versions

    response = api_versions.unsupported()
    return encode_response(API_VERSIONS, 0, header.correlation_id, response)
