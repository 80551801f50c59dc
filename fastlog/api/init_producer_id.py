"""InitProducerId: a producer id for an idempotent producer (KIP-98, KIP-360).

A transactional id is refused: there are no transactions yet. The error is the one that every client
takes as final; most never come here, since find_coordinator refuses them before.
"""

from __future__ import annotations

from fastlog.api.context import Context
from fastlog.protocol import ErrorCode, KafkaError, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 22
MIN_VERSION = 0
MAX_VERSION = 5

NO_PRODUCER_ID = -1
NO_PRODUCER_EPOCH = -1


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)(producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH)
    has_id = request.producer_id != NO_PRODUCER_ID
    has_epoch = request.producer_epoch != NO_PRODUCER_EPOCH
    if has_id != has_epoch or request.transactional_id == "":
        response.error_code = ErrorCode.INVALID_REQUEST
    elif request.transactional_id is not None:
        response.error_code = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    else:
        # A producer that has an id and asks again gets another one, as in Kafka.
        try:
            response.producer_id, response.producer_epoch = await context.next_producer_id()
        except KafkaError as error:
            response.error_code = error.code
    return response
