"""cli/verbs/run: bring a recipe up to date."""

from whorl.cli import reach
from whorl.cli.options import Arguments, First, Last, Strict, Trust, Workers
from whorl.cli.target import target
from whorl.cli.terminal import Terminal

__all__ = ["run"]

PANEL = "Make"


def run(  # noqa: PLR0913 - the parameters of a verb are its options
    terminal: Terminal,
    arguments: Arguments = None,
    *,
    first: First = None,
    last: Last = None,
    is_strict: Strict = False,
    trust: Trust = None,
    workers: Workers = 0,
) -> int:
    """Bring a recipe up to date: make what is new or stale, reuse the rest, go on with what was interrupted.

    Ctrl-C asks the running stage to save and stop; the same command goes on from there. With --json every event is a line, and
    the last line is the outcome.

    Examples:
      whorl run
      whorl run recipe.yaml --to vocab
      whorl run stages.base.model.depth=4 --from base
    """
    meant = target(arguments or ())
    options = reach.run_options()(first=first, last=last, is_strict=is_strict, trust=tuple(trust or ()), workers=workers)
    outcome = reach.bring_up_to_date(terminal, meant, options)
    if outcome is None:
        return 1
    reach.tell_outcome(terminal, meant, outcome)
    return 0
