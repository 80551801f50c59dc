"""The model of the log finds a mistake in the log."""

from tests.tools.planted import instead, planted_tree, run_in

PLACE = "if info.base_offset + info.last_offset_delta >= offset:"


def test_a_planted_mistake_is_found(tmp_path):
    """A reader that starts one batch late where an offset is a batch's last."""
    change = instead(PLACE, PLACE.replace(">=", ">"))
    tree = planted_tree(tmp_path, {"log_read": change}, "tests")
    done = run_in(tree, "-m", "pytest", "-q", "tests/engine/test_model.py", "-k", "AnySequence")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "state.append(" in done.stdout or "state.produce(" in done.stdout
