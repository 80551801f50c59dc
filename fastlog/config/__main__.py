"""Prints docs/settings.md."""

from fastlog.config.document import document

print(document(), end="")
