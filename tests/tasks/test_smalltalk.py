from whorl.tasks.smalltalk import exchanges


def test_a_model_says_what_it_is_and_names_its_skills():
    said = dict(exchanges("a small model", ("add numbers", "sort letters", "spell"), "train"))
    assert said["Who are you?"] == "I am a small model."
    assert said["What can you do?"] == "I can add numbers, sort letters and spell."


def test_a_line_is_in_one_part_only():
    train = {line.asked for line in exchanges("x", (), "train")}
    held_out = {line.asked for line in exchanges("x", (), "held_out")}
    assert train
    assert held_out
    assert not train & held_out
