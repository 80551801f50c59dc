"""ApiVersions: what this broker serves (KIP-35, KIP-511).

No features are reported: a finalized `transaction.version` of 2 would make Java producers use a
transaction protocol that is not there.
"""

from __future__ import annotations

import re

from fastlog.api import registry
from fastlog.api.context import Context
from fastlog.protocol import ErrorCode, RequestHeader
from fastlog.protocol.messages import Message, response_class

KEY = 18
MIN_VERSION = 0
MAX_VERSION = 4

_SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")


async def handle(context: Context, header: RequestHeader, request: Message) -> Message:
    response = response_class(KEY)()
    if header.api_version >= 3 and not (
        _SOFTWARE.fullmatch(request.client_software_name)
        and _SOFTWARE.fullmatch(request.client_software_version)
    ):
        response.error_code = ErrorCode.INVALID_REQUEST
        return response
    response.api_keys = [_entry(key) for key in sorted(registry.SERVED)]
    return response


def unsupported() -> Message:
    """The answer, in version 0, to a version that is not served."""
    return response_class(KEY)(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=[_entry(KEY)])


def _entry(api_key: int) -> Message:
    served = registry.SERVED[api_key]
    entry: Message = response_class(KEY).ApiVersion(
        api_key=api_key, min_version=served.min_version, max_version=served.max_version
    )
    return entry
