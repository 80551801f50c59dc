"""The codec against kio, an independent one: it reads what we write, and writes the same bytes."""

import io

from kio.index import KioIndexError, load_payload_module
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from tests.protocol.content import Maker, every_version

KNOWN_TO_KIO = 500  # messages times versions; kio starts at Kafka 4's oldest versions


def test_kio_writes_what_we_wrote():
    compared = 0
    for message_class, version in every_version():
        name = message_class.__name__
        kind = EntityType.request if name.endswith("Request") else EntityType.response
        try:
            module = load_payload_module(message_class.KEY, version, kind)
        except KioIndexError:
            continue
        compared += 1
        entity = getattr(module, name)
        for turn in range(3):
            maker = Maker((name, version, turn), mild=True)
            data = maker.message(message_class, version).encode(version)
            read, size = entity_reader(entity)(data, 0)
            out = io.BytesIO()
            entity_writer(entity)(out, read)
            assert (size, out.getvalue()) == (len(data), data), (name, version, read)
    assert compared >= KNOWN_TO_KIO
