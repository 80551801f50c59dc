"""A partition's folder: its name, and partition.metadata, which tells the topic's id (KIP-516)."""

import base64
import binascii
import os
import re
from pathlib import Path

from fastlog.logs.files import replace_file

METADATA = "partition.metadata"
NAME_MAX = 255
NO_TOPIC_ID = bytes(16)
SET_ASIDE = re.compile(r"\S+-\d+\.[^.\s]+-(delete|future|stray)")

Partition = tuple[str, int]


def folder_name(topic: str, partition: int) -> str:
    """`<topic>-<partition>`"""
    return f"{topic}-{partition}"


def parse_folder_name(name: str) -> Partition | None:
    """The partition that a folder of this name holds. None: it holds none."""
    topic, dash, number = name.rpartition("-")
    if not (topic and dash and number.isascii() and number.isdigit()):
        return None
    if SET_ASIDE.fullmatch(name) or not re.fullmatch(r"[A-Za-z0-9._-]+", topic):
        return None
    return (topic, int(number)) if number == str(int(number)) else None


def fate_of(name: str) -> str | None:
    """`delete`, `future` or `stray` for a folder that was set aside; None: it was not."""
    match = SET_ASIDE.fullmatch(name)
    return match[1] if match else None


def set_aside_name(topic: str, partition: int, fate: str) -> str:
    """A name that is free, and no longer a partition's; the topic is cut to what fits."""
    suffix = f"-{partition}.{os.urandom(16).hex()}-{fate}"
    return topic[: NAME_MAX - len(suffix)] + suffix


def encode_topic_id(topic_id: bytes) -> str:
    """22 characters of URL-safe base64, as Kafka prints ids."""
    return base64.urlsafe_b64encode(topic_id).decode().rstrip("=")


def decode_topic_id(text: str) -> bytes:
    """The 16 bytes. Raises ValueError."""
    try:
        decoded = base64.b64decode(text + "==", altchars=b"-_", validate=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != 16:
        raise ValueError(f"'{text[:40]}' is no topic id")
    return decoded


def read_topic_id(folder: Path) -> bytes:
    """The topic's id, or NO_TOPIC_ID where none was written. Raises OSError, ValueError."""
    path = f"{folder}/{METADATA}"
    try:
        with open(path, "rb", buffering=0) as file:
            text = file.read().decode()
    except FileNotFoundError:
        return NO_TOPIC_ID
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields[name.strip()] = value.strip()
    if fields.get("version") != "0" or "topic_id" not in fields:
        raise ValueError(f"{path} is malformed")
    try:
        return decode_topic_id(fields["topic_id"])
    except ValueError as error:
        raise ValueError(f"{path} is malformed: {error}") from None


def write_topic_id(folder: Path, topic_id: bytes) -> None:
    """OSError."""
    replace_file(folder / METADATA, f"version: 0\ntopic_id: {encode_topic_id(topic_id)}".encode())
