"""Producer ids, unique in the cluster: blocks of 1000, handed out one by one."""

import asyncio

from fastlog.coordination import znodes
from fastlog.coordination.interface import BadVersion, Coordination, CoordinationError, Unknown
from fastlog.coordination.znodes import ProducerIdBlock
from fastlog.protocol.errors import ErrorCode, KafkaError

BLOCK_SIZE = 1000
LAST_ID = (1 << 63) - 1


def next_block(broker_id: int, data: bytes) -> ProducerIdBlock:
    """The block after the one in `data`; no data: the first. OverflowError: none is left."""
    start = ProducerIdBlock.decode(data).end + 1 if data else 0
    if start > LAST_ID - BLOCK_SIZE + 1:
        raise OverflowError("all producer ids have been given out")
    return ProducerIdBlock(broker_id, start, start + BLOCK_SIZE - 1)


class ProducerIds:
    """Ids of a block that was begun and not used up when the broker stops are never given out."""

    def __init__(self, coordination: Coordination, broker_id: int) -> None:
        self._coordination = coordination
        self._broker_id = broker_id
        self._next, self._end = 0, -1
        self._lock = asyncio.Lock()

    async def next(self) -> int:
        """An id that no producer had before. KafkaError 14: no block is to be had; ask again."""
        async with self._lock:
            if self._next > self._end:
                try:
                    block = await self._claim()
                except (CoordinationError, OverflowError, znodes.Malformed) as error:
                    raise KafkaError(
                        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, f"no producer ids: {error}"
                    ) from error
                self._next, self._end = block.start, block.end
            self._next += 1
            return self._next - 1

    async def _claim(self) -> ProducerIdBlock:
        await self._coordination.ensure(znodes.PRODUCER_ID_BLOCK)
        while True:
            data, stat = await self._coordination.get(znodes.PRODUCER_ID_BLOCK)
            block = next_block(self._broker_id, data)
            try:
                await self._coordination.set(znodes.PRODUCER_ID_BLOCK, block.encode(), stat.version)
            except BadVersion:
                continue  # another broker was faster
            except Unknown:
                # Ours or not, this block is left alone: ids are many, and reuse is corruption.
                continue
            return block
