"""Fetching the peers: nothing to do where all is there, a clear word where it cannot be done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import cache
from tests.peers.fastlog import ROOT


def run_setup(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.peers.setup"]
    return subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, env={**os.environ, **environment}
    )


def test_does_nothing_where_all_is_there(tmp_path: Path) -> None:
    for peer in cache.PEERS:
        (tmp_path / peer.name / "lib").mkdir(parents=True)
        (tmp_path / peer.name / "lib" / peer.landmark).touch()
        (tmp_path / peer.name / "VERSION").write_text(peer.version)
    done = run_setup(FASTLOG_PEERS=str(tmp_path), PATH="/nowhere")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("already in") == len(cache.PEERS)


def test_names_the_missing_program(tmp_path: Path) -> None:
    done = run_setup(FASTLOG_PEERS=str(tmp_path), PATH="/nowhere")
    assert done.returncode == 1
    assert "mvn" in done.stderr
    assert "apt-get install" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_release_in_the_cache_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTLOG_PEERS", str(tmp_path))
    folder = tmp_path / cache.KAFKA_39.name
    (folder / "lib").mkdir(parents=True)
    (folder / "VERSION").write_text("3.8.0\n")
    assert not cache.is_complete(cache.KAFKA_39)
    with pytest.raises(cache.PeerMissing, match=r"tests\.peers\.setup"):
        cache.kafka_libs("3.9")
