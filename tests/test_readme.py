"""What the README shows to copy is right."""

from pathlib import Path

import yaml

from whorl.core.stage import Stage

README = Path(__file__).parents[1] / "README.md"


def test_the_training_stage_in_the_readme_is_a_valid_stage():
    (block,) = [part for part in README.read_text().split("```yaml\n")[1:] if part.startswith("base:")]
    stage = Stage.model_validate(yaml.safe_load(block.split("```")[0])["base"])
    assert stage.use == "train.fit"
