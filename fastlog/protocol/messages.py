"""The messages: one class for all versions of each request and response, made on its first use.

    request = messages.request_class(3)(topics=None)
    data = request.encode(12)
    again = type(request).decode(12, data)

A field that a version lacks has its default after decoding. Encoding drops such a field if the
protocol calls it ignorable, and refuses it (EncodeError) if its value is not the default. The
structs of a message are attributes of its class: `MetadataResponse.MetadataResponseTopic`. UUIDs
are `bytes` of 16, strings `str`, arrays `list`. Unknown tagged fields are skipped, not kept.
"""

from __future__ import annotations

import importlib
import struct
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fastlog.protocol import generate, own, schema
from fastlog.protocol.definitions import MODULES
from fastlog.protocol.primitives import ELEMENTS_MAX, DecodeError, EncodeError, allowance

Buffer = bytes | bytearray | memoryview


class Struct:
    """A group of fields."""

    __slots__: tuple[str, ...] = ()

    if TYPE_CHECKING:

        def __init__(self, *values: Any, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


class Message(Struct):
    """A request or a response."""

    __slots__: tuple[str, ...] = ()
    KEY: int
    SCHEMA: schema.Message
    _classes: dict[str, type]
    _readers: dict[int, Any]
    _writers: dict[int, Any]

    @classmethod
    def decode(
        cls, version: int, buffer: Buffer, offset: int = 0, *, elements_max: int = ELEMENTS_MAX
    ) -> Self:
        """The message at `offset`; bytes after it are left alone. Raises DecodeError.

        `elements_max`: of all arrays together.
        """
        view = memoryview(buffer)
        reader = cls._readers.get(version)
        if reader is None:
            if version not in cls.SCHEMA.versions:
                raise DecodeError(f"{cls.__name__} has no version {version}")
            reader = generate.build_reader(cls.SCHEMA, cls._classes, version)
            cls._readers[version] = reader
        allowance.left = elements_max
        try:
            message, _ = reader(view, offset, len(view))
        except (struct.error, IndexError) as error:
            raise DecodeError(f"{cls.__name__} version {version} ends early") from error
        return message  # type: ignore[no-any-return]

    def encode(self, version: int) -> bytes:
        """The bytes of this message in one version. Raises EncodeError."""
        out = bytearray()
        self.encode_into(version, out)
        return bytes(out)

    def encode_into(self, version: int, out: bytearray) -> None:
        """Appends the bytes of this message to `out`."""
        writer = self._writers.get(version)
        if writer is None:
            if version not in self.SCHEMA.versions:
                raise EncodeError(f"{type(self).__name__} has no version {version}")
            writer = generate.build_writer(self.SCHEMA, self._classes, version)
            self._writers[version] = writer
        try:
            writer(self, out)
        except (struct.error, UnicodeEncodeError) as error:
            raise EncodeError(f"{type(self).__name__} version {version}: {error}") from error


def dismantle(struct: Struct) -> None:
    """Frees the structs of a message one by one; all at once, nothing could interrupt it. What
    others hold as well, stays.
    """
    for name in struct.__slots__:
        value = getattr(struct, name)
        if type(value) is not list or not value or not isinstance(value[0], Struct):
            continue
        if sys.getrefcount(value) > 3:  # the struct's, this name's, the call's
            continue
        while value:
            element = value.pop()
            if sys.getrefcount(element) <= 2:
                dismantle(element)


class Api(NamedTuple):
    """Both messages of one API key."""

    KEY: int
    name: str
    request: type[Message]
    response: type[Message]

    def is_flexible(self, version: int) -> bool:
        """Whether the version has tagged fields (KIP-482)."""
        return version in self.request.SCHEMA.flexible


_loaded: dict[int, Api] = {}


def get(api_key: int) -> Api:
    """The API of a key. Raises DecodeError for a key that is not defined."""
    api = _loaded.get(api_key)
    if api is None:
        package = "own" if api_key in own.MODULES else "definitions"
        module_name = MODULES.get(api_key) or own.MODULES.get(api_key)
        if module_name is None:
            raise DecodeError(f"no API has the key {api_key}")
        facts = importlib.import_module(f"fastlog.protocol.{package}.{module_name}")
        request, response = _build(facts.REQUEST, api_key), _build(facts.RESPONSE, api_key)
        api = Api(api_key, request.__name__.removesuffix("Request"), request, response)
        _loaded[api_key] = api
    return api


# These say Any, since the structs that are attributes of a class exist only at run time.


def request_class(api_key: int) -> Any:
    return get(api_key).request


def response_class(api_key: int) -> Any:
    return get(api_key).response


def _build(text: str, api_key: int) -> type[Message]:
    facts = schema.parse(text)
    classes = generate.build_classes(facts, Struct, Message)
    result: type[Message] = classes[facts.name]
    result.KEY = api_key
    result.SCHEMA = facts
    result._classes = classes
    result._readers = {}
    result._writers = {}
    for name, struct_class in classes.items():
        if struct_class is not result:
            setattr(result, name, struct_class)
    return result
