"""The requests of the protocol: one module for each, and the registry that knows them all.

A handler module declares KEY, MIN_VERSION and MAX_VERSION, and answers by

    async def handle(context, header, request) -> response

`context` is the broker (fastlog.api.context.Context), `header` the request's header with the
connection it came by, `request` and the response are messages of fastlog.protocol.messages.
"""
