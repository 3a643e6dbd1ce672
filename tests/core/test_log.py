import logging
from collections.abc import Iterator

import pytest

from whorl.core.log import logger, set_level


@pytest.fixture(autouse=True)
def fresh_root() -> Iterator[None]:
    root = logging.getLogger("whorl")
    before = root.handlers[:], root.level, root.propagate
    root.handlers.clear()
    yield
    root.handlers[:], root.level, root.propagate = before


def test_messages_carry_level_and_room_once_however_often_the_level_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    set_level("warning")
    set_level("info")
    logger("corpus").info("3 shards")
    logger("corpus").debug("not shown")
    assert capsys.readouterr().err == "INFO whorl.corpus: 3 shards\n"
