"""The protocol's frames over a plain socket, for what no client library would send."""

import socket
import struct


class Connection:
    """One connection: sends a frame, reads a frame. `None` where the broker closed instead."""

    def __init__(self, address: tuple[str, int], timeout_s: float = 10) -> None:
        self._socket = socket.create_connection(address, timeout_s)
        self._correlation = 0

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, frame: bytes) -> None:
        self._socket.sendall(struct.pack(">i", len(frame)) + frame)

    def send_bytes(self, raw: bytes) -> None:
        """Bytes as they are, no length before them."""
        self._socket.sendall(raw)

    def receive(self) -> bytes | None:
        """The next frame; None when the connection was closed or reset first."""
        head = self._exactly(4)
        return None if head is None else self._exactly(struct.unpack(">i", head)[0])

    def closed_within(self, timeout_s: float) -> bool:
        """Whether the broker closes without a further byte within the time."""
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def _exactly(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            try:
                more = self._socket.recv(count - len(parts))
            except ConnectionError:
                return None
            if not more:
                return None
            parts += more
        return bytes(parts)

    def call(self, key: int, version: int, body: bytes) -> bytes | None:
        """One request (header v1) and its answer, the correlation id checked and cut off."""
        self._correlation += 1
        header = struct.pack(">hhih4s", key, version, self._correlation, 4, b"test")
        self.send(header + body)
        frame = self.receive()
        if frame is None:
            return None
        assert struct.unpack(">i", frame[:4])[0] == self._correlation, "answer out of order"
        return frame[4:]


def answers_metadata(address: tuple[str, int]) -> bool:
    """Whether the broker at `address` serves: its Metadata v1 names at least one broker."""
    try:
        with Connection(address, timeout_s=2) as connection:
            answer = connection.call(3, 1, struct.pack(">i", 0))
    except OSError:
        return False
    return answer is not None and len(answer) >= 4 and struct.unpack(">i", answer[:4])[0] > 0
