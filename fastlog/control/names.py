"""What a topic may be called: Kafka's rules, in its words."""

import re
from collections.abc import Iterable

LENGTH_MAX = 249
_LEGAL = re.compile(r"[a-zA-Z0-9._-]+\Z")


def problem_with_name(name: str) -> str | None:
    """Why nothing can have this name, or None."""
    if not name:
        return "the empty string is not allowed"
    if name in (".", ".."):
        return f"'{name}' is not allowed"
    if len(name) > LENGTH_MAX:
        return f"the length of '{name}' is longer than the max allowed length {LENGTH_MAX}"
    if not _LEGAL.match(name):
        return (
            f"'{name}' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'"
        )
    return None


def colliding(name: str, existing: Iterable[str]) -> list[str]:
    """Topics that differ from `name` in '.' and '_' alone: their metrics share a name."""
    if "." not in name and "_" not in name:
        return []
    plain = name.replace(".", "_")
    return sorted(other for other in existing if other.replace(".", "_") == plain)
