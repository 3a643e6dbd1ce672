"""Runs in an environment with transformers: what its config classes take absent fields for. Usage: REQUEST.json ANSWER.json.

For each config.json of the request and each set of fields left out of it: the fields that then read otherwise, and as what;
null where the peer refuses it.
"""

import json
import sys
from pathlib import Path

import transformers
from huggingface_hub.errors import StrictDataclassError


def meaning(fields):
    """Every field of the config that transformers makes of these."""
    config = transformers.CONFIG_MAPPING[fields["model_type"]].from_dict(dict(fields))
    return json.loads(config.to_json_string(use_diff=False))


def main(request, answer):
    ask = json.loads(Path(request).read_text())
    said = {}
    for family, fields in ask["configs"].items():
        whole = meaning(fields)
        for left_out in ask["left_out"][family]:
            try:
                found = meaning({name: value for name, value in fields.items() if name not in left_out})
                changed = {name: value for name, value in found.items() if value != whole.get(name)}
            except StrictDataclassError:
                changed = None
            said.setdefault(family, {})[" ".join(left_out)] = changed
    versions = {"transformers": transformers.__version__}
    Path(answer).write_text(json.dumps({"versions": versions, "absent": said}))


if __name__ == "__main__":
    main(*sys.argv[1:])
