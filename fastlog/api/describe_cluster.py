"""DescribeCluster: the brokers and the controller (KIP-700)."""

from __future__ import annotations

from fastlog.api.authorization import CLUSTER_OPERATIONS
from fastlog.api.context import Context
from fastlog.protocol import ErrorCode, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 60
MIN_VERSION = 0
MAX_VERSION = 2

_ENDPOINT_BROKER, _ENDPOINT_CONTROLLER = 1, 2  # KIP-919


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)(error_message=None)
    if request.endpoint_type != _ENDPOINT_BROKER:
        response.error_code, response.error_message = _wrong_endpoint(header, request)
        return response
    connection = header.connection
    brokers = context.brokers(connection.listener, connection.local)
    response.brokers = [
        response.DescribeClusterBroker(broker_id=id, host=host, port=port, rack=rack)
        for id, host, port, rack in brokers
    ]
    response.cluster_id = context.cluster_id
    controller_id = context.controller_id()
    # A controller that is not among the brokers listed would only confuse the client.
    if any(broker.id == controller_id for broker in brokers):
        response.controller_id = controller_id
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    return response


def _wrong_endpoint(header: RequestHeader, request: Message) -> tuple[ErrorCode, str]:
    if request.endpoint_type == _ENDPOINT_CONTROLLER:
        code, message = ErrorCode.MISMATCHED_ENDPOINT_TYPE, "this is a broker, not a controller"
    else:
        code = ErrorCode.UNSUPPORTED_ENDPOINT_TYPE
        message = f"there is no endpoint type {request.endpoint_type}"
    return (ErrorCode.INVALID_REQUEST if header.api_version == 0 else code), message
