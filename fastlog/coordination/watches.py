"""Who waits for which change. Used from the store's thread only."""

from collections import defaultdict

from fastlog.coordination.interface import Event, Watch, WatchEvent


class Watches:
    """One-shot watches by path; a session's callback counts once for a path and kind."""

    def __init__(self) -> None:
        self._data: dict[str, dict[tuple[int, Watch], None]] = defaultdict(dict)
        self._children: dict[str, dict[tuple[int, Watch], None]] = defaultdict(dict)

    def add(self, session: int, path: str, watch: Watch, children: bool = False) -> None:
        (self._children if children else self._data)[path][(session, watch)] = None

    def take(self, event: WatchEvent) -> list[tuple[int, Watch]]:
        """Removes and returns the watches that the event fires."""
        found: dict[tuple[int, Watch], None] = {}
        if event.event is not Event.CHILDREN:
            found |= self._data.pop(event.path, {})
        if event.event in (Event.CHILDREN, Event.DELETED):
            found |= self._children.pop(event.path, {})
        return list(found)

    def forget(self, session: int) -> None:
        """Drops the watches of a session that is over."""
        for table in (self._data, self._children):
            for path in list(table):
                for key in [key for key in table[path] if key[0] == session]:
                    del table[path][key]
                if not table[path]:
                    del table[path]
