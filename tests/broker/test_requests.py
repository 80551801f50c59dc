"""The pump between the planes: what it logs."""

import logging

from fastlog.requests import TOLD_EACH_SECONDS, Noticed


def test_an_event_is_told_once_in_a_while(caplog, monkeypatch):
    now = [100.0]
    noticed = Noticed(lambda: now[0])
    monkeypatch.setattr(logging.getLogger("fastlog"), "propagate", True)
    with caplog.at_level(logging.WARNING, "fastlog.requests"):
        for _ in range(4):
            noticed.tell("no_descriptors", "cannot accept a connection")
        noticed.tell("bad_frame", "from a")
        now[0] += TOLD_EACH_SECONDS
        noticed.tell("no_descriptors", "cannot accept a connection")
    assert caplog.messages == [
        "no descriptors: cannot accept a connection",
        "bad frame: from a",
        "no descriptors: cannot accept a connection (and 3 times before)",
    ]
