"""cli/verbs: the door of commands: one file per verb, and the file's name is the verb.

To add one: a file here with a public function of the file's name, listed in `__all__`; several functions are sub-verbs. The
first parameter is the Terminal to answer on, the others become arguments and options (typer reads their annotations; of a
dataclass, those of its fields: options that several verbs share stand in cli/options), and the result is the exit code (None:
0). The docstring is the help; its `Examples:` end up below the options and are run by tests.
`--json` and `--offline` are added to every verb. A verb imports nothing heavy: what it needs from below it takes from
cli/reach, so that `--help` answers at once. `PANEL` is the heading that lists it in `whorl --help`, in the order of `PANELS`.
"""

__all__ = ["PANELS"]

PANELS = ("Begin", "Make", "Look inside", "Keep house", "Others")
