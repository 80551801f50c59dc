from pathlib import Path

from fastlog.config.document import document
from fastlog.config.table import BROKER, TOPIC

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_fresh():
    assert PAGE.read_text() == document(), "run: python -m fastlog.config > docs/settings.md"


def test_the_page_names_every_setting():
    text = document()
    assert all(f"| `{name}` |" in text for name in [*BROKER, *TOPIC])
