"""FindCoordinator: the broker that keeps a group (this one: there is one broker so far).

There are no transactions yet, and a producer that wants them must fail at once and say why. No one
error does that: librdkafka, which asks in versions below 4, tries again on every error but an
authorization's, and prints our message with that; the Java producer, which asks in version 4 or
later, prints our message only with an error that it does not expect. Hence one for each.
"""

from __future__ import annotations

from typing import Any

from fastlog.api.context import Context
from fastlog.api.turns import in_turns
from fastlog.protocol import ErrorCode, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 10
MIN_VERSION = 0
MAX_VERSION = 6

_GROUP, _TRANSACTION, _SHARE = 0, 1, 2
_FIRST_VERSION_WITH_SHARE = 6
_FIRST_VERSION_WITH_KEYS = 4

NO_TRANSACTIONS_MESSAGE = "this version of fastlog has no transactions"


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    if header.api_version < _FIRST_VERSION_WITH_KEYS:
        _answer(context, header, request, response)
        if response.error_code == ErrorCode.NONE:
            response.error_message = "NONE"  # as Kafka
        return response
    async for key in in_turns(request.coordinator_keys):
        coordinator = response.Coordinator(key=key)
        _answer(context, header, request, coordinator)
        response.coordinators.append(coordinator)
    return response


def _answer(context: Context, header: RequestHeader, request: Message, answer: Any) -> None:
    """Writes into `answer` who coordinates, or why nobody does."""
    answer.node_id, answer.host, answer.port = -1, "", -1
    if request.key_type == _TRANSACTION:
        is_old = header.api_version < _FIRST_VERSION_WITH_KEYS
        answer.error_code = (
            ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            if is_old
            else ErrorCode.UNSUPPORTED_VERSION
        )
        answer.error_message = NO_TRANSACTIONS_MESSAGE
    elif request.key_type == _SHARE and header.api_version >= _FIRST_VERSION_WITH_SHARE:
        answer.error_code = ErrorCode.COORDINATOR_NOT_AVAILABLE
    elif request.key_type != _GROUP:
        answer.error_code = ErrorCode.INVALID_REQUEST
        answer.error_message = f"no coordinator has key type {request.key_type}"
    else:
        _answer_with_this_broker(context, header, answer)


def _answer_with_this_broker(context: Context, header: RequestHeader, answer: Any) -> None:
    connection = header.connection
    for broker in context.brokers(connection.listener, connection.local):
        if broker.id == context.node_id:
            answer.node_id, answer.host, answer.port = broker.id, broker.host, broker.port
            return
    answer.error_code = ErrorCode.COORDINATOR_NOT_AVAILABLE
