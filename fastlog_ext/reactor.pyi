from collections.abc import Iterable

from typing_extensions import Buffer

from fastlog_ext.topics import Topics

class Request:
    @property
    def api_key(self) -> int: ...
    @property
    def api_version(self) -> int: ...
    @property
    def frame(self) -> bytes: ...
    @property
    def listener(self) -> str: ...
    @property
    def peer(self) -> tuple[str, int]: ...
    @property
    def local(self) -> tuple[str, int]: ...
    @property
    def connection_id(self) -> int: ...
    def respond(self, answer: Buffer) -> None: ...
    def close(self) -> None: ...

class DataPlane:
    def __init__(
        self,
        topics: Topics,
        *,
        reactors: int,
        max_request_bytes: int = 104857600,
        max_control_bytes: int = 104857600,
        max_fetch_bytes: int = 57671680,
        node_id: int = -1,
        request_memory: int = 536870912,
        walk_records: bool = False,
        max_decoded_bytes: int = 268435456,
        max_elements: int = 131072,
        fetch_sessions: int = 1000,
        fetch_session_eviction_ms: int = 120000,
        file_send_min: int = -1,
    ) -> None: ...
    def limit_connections(
        self,
        *,
        in_all: int = 2147483647,
        per_address: int = 2147483647,
        overrides: Iterable[tuple[str, int]] = (),
        per_second: int = 2147483647,
        burst_seconds: int = 1,
        idle_ms: int = 0,
        first_request_ms: int = 0,
        receive_ms: int = 0,
    ) -> None: ...
    def listen(
        self,
        host: str,
        port: int,
        name: str,
        *,
        backlog: int = 1024,
        send_buffer: int = -1,
        receive_buffer: int = -1,
    ) -> tuple[str, int]: ...
    def start(self) -> None: ...
    def stop(self, drain_seconds: float = 0) -> bool: ...
    @property
    def request_fd(self) -> int: ...
    def take_requests(self, limit: int = 1000) -> list[Request]: ...
    def take_events(self) -> list[tuple[str, str]]: ...
    def stats(self) -> dict[str, int]: ...
