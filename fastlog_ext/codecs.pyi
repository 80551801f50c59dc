from typing_extensions import Buffer

NAMES: tuple[str, ...]

def compress(
    codec: int | str, data: Buffer, *, level: int | None = None, raw: bool = False
) -> bytes: ...
def decompress(codec: int | str, data: Buffer, limit: int = ...) -> bytes: ...
