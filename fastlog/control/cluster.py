"""A broker's place in the cluster: its id, its registration, and the election of the controller."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple

from fastlog.config.listeners import Listener
from fastlog.coordination import znodes
from fastlog.coordination.interface import (
    BadVersion,
    Coordination,
    Create,
    NodeExists,
    NoNode,
    Operation,
    Set,
    Unknown,
    parent_of,
    with_parents,
)
from fastlog.coordination.znodes import BrokerRegistration, Controller


class ClusterError(Exception):
    """The broker cannot take its place; the text is for the operator."""


class Leadership(NamedTuple):
    """Won by the controller of `epoch`. `version` of /controller_epoch fences its writes."""

    epoch: int
    version: int


def now_ms() -> int:
    return int(time.time() * 1000)


async def prepare(coordination: Coordination) -> None:
    """Creates what Kafka expects to find, and our mark. ClusterError: a later fastlog's tree."""
    await _ensure_all(coordination, znodes.PERSISTENT_PATHS)
    if await _create_if_absent(coordination, znodes.EXT_FORMAT, znodes.encode_ext_format()):
        return
    found = znodes.decode_ext_format((await coordination.get(znodes.EXT_FORMAT))[0])
    if found != znodes.EXT_FORMAT_VERSION:
        raise ClusterError(
            f"the cluster's state has format {found}; this version of fastlog knows "
            f"{znodes.EXT_FORMAT_VERSION}"
        )


async def _ensure_all(coordination: Coordination, paths: Sequence[str]) -> None:
    """Creates what is missing, in one write where nobody else is at it."""
    wanted = dict.fromkeys(one for path in paths for one in with_parents(path))
    found = await asyncio.gather(*(coordination.exists(path) for path in wanted))
    missing = [path for path, stat in zip(wanted, found, strict=True) if stat is None]
    try:
        await coordination.multi([Create(path) for path in missing])
    except NodeExists:
        for path in missing:
            await coordination.ensure(path)


async def _create_if_absent(coordination: Coordination, path: str, data: bytes) -> bool:
    if await coordination.exists(path) is not None:
        return False
    await coordination.ensure(parent_of(path))
    try:
        await coordination.create(path, data)
    except NodeExists:
        return False
    return True


async def cluster_id(coordination: Coordination, proposed: str | None = None) -> str:
    """The cluster's id; a cluster that has none gets `proposed` or a random one."""
    mine = proposed or znodes.uuid_text(znodes.random_uuid())
    if await _create_if_absent(coordination, znodes.CLUSTER_ID, znodes.encode_cluster_id(mine)):
        return mine
    return znodes.decode_cluster_id((await coordination.get(znodes.CLUSTER_ID))[0])


async def generate_broker_id(coordination: Coordination, reserved_max: int) -> int:
    """An id above `reserved_max` that no broker had before, by Kafka's counter."""
    stat = await coordination.set(znodes.BROKER_SEQUENCE, b"", None)
    return reserved_max + stat.version


def registration(advertised: Sequence[Listener], rack: str | None) -> BrokerRegistration:
    """How a broker that is reached at `advertised` presents itself."""
    plain = next((one for one in advertised if one.protocol == "PLAINTEXT"), None)
    return BrokerRegistration(
        endpoints=tuple(str(one) for one in advertised),
        security_protocols={one.name: one.protocol for one in advertised},
        host=plain.host if plain else None,
        port=plain.port if plain else -1,
        timestamp_ms=now_ms(),
        rack=rack,
    )


async def register(coordination: Coordination, broker_id: int, info: BrokerRegistration) -> int:
    """Makes the broker known as long as its session lives. Returns its epoch, the node's czxid.

    ClusterError: another session has the id.
    """
    path, data = znodes.broker(broker_id), info.encode()
    # The second operation is for its result: a creation does not tell the czxid.
    operations: list[Operation] = [Create(path, data, ephemeral=True), Set(path, data, 0)]
    try:
        return (await coordination.multi(operations))[1].czxid
    except (NodeExists, Unknown) as error:
        stat = await coordination.exists(path)
        if stat is not None and stat.ephemeral_owner == coordination.session_id:
            return stat.czxid
        if isinstance(error, Unknown):
            raise
        raise ClusterError(
            f"broker id {broker_id} is taken by another broker that is alive, or was until a "
            "moment ago"
        ) from None


async def live_brokers(coordination: Coordination, watch=None) -> list[int]:
    return sorted(int(name) for name in await coordination.children(znodes.BROKER_IDS, watch))


async def elect(coordination: Coordination, broker_id: int) -> Leadership | None:
    """Stands for controller. None: another broker is."""
    await _create_if_absent(coordination, znodes.CONTROLLER_EPOCH, znodes.encode_epoch(0))
    data, stat = await coordination.get(znodes.CONTROLLER_EPOCH)
    epoch = znodes.decode_epoch(data) + 1
    try:
        await coordination.multi(
            [
                Create(znodes.CONTROLLER, Controller(broker_id, now_ms()).encode(), ephemeral=True),
                Set(znodes.CONTROLLER_EPOCH, znodes.encode_epoch(epoch), stat.version),
            ]
        )
    except (NodeExists, BadVersion, Unknown):
        # An answer may have been lost on its way: it is ours if session and epoch say so.
        if not await _is_ours(coordination, epoch):
            return None
    return Leadership(epoch, stat.version + 1)


async def _is_ours(coordination: Coordination, epoch: int) -> bool:
    controller = await coordination.exists(znodes.CONTROLLER)
    found = znodes.decode_epoch((await coordination.get(znodes.CONTROLLER_EPOCH))[0])
    owner = controller.ephemeral_owner if controller else 0
    return owner == coordination.session_id and found == epoch


async def controller_id(coordination: Coordination, watch=None) -> int:
    """The controller's broker id; -1 while there is none."""
    if await coordination.exists(znodes.CONTROLLER, watch) is None:
        return -1
    try:
        return Controller.decode((await coordination.get(znodes.CONTROLLER))[0]).broker_id
    except NoNode:
        return -1
