"""docs/river.md lists every stage, door and verb that exists, and none that does not."""

import re
from pathlib import Path

import whorl
from whorl.core.stage import stage_names

HOUSE = Path(whorl.__path__[0])
PAGE = (Path(__file__).parents[2] / "docs" / "river.md").read_text()


def section(title: str) -> set[str]:
    body = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return {match.group(1) for match in re.finditer(r"^\| `([^`]+)` \|", body, flags=re.MULTILINE)}


def doors() -> set[str]:
    opened = (path for path in HOUSE.rglob("__init__.py") if "is_door=True" in path.read_text())
    return {".".join(path.parent.relative_to(HOUSE).parts) for path in opened}


def test_the_river_page_lists_every_stage_and_no_other():
    assert section("Stages") == set(stage_names())


def test_the_river_page_lists_every_door_and_no_other():
    assert section("Doors") - {"cli.verbs"} == doors() - {"cli.verbs"}


def test_the_river_page_lists_every_verb_and_no_other():
    verbs = {path.stem for path in (HOUSE / "cli" / "verbs").glob("*.py") if path.stem != "__init__"}
    assert section("Verbs") == {f"whorl {verb}" for verb in verbs}
