"""tasks/smalltalk: what a model says about itself when it is greeted: a handful of lines, so that a chat is not mute.

The lines name the skills the model was shown and nothing else. Not a benchmark: there is nothing here to be right about.
"""

from collections.abc import Sequence
from typing import NamedTuple

from whorl.core.config import Part

__all__ = ["Exchange", "exchanges"]

_HELLO = ("Hello", "Hi", "Hi!", "Hello there", "Good morning", "Hey", "Good evening")
_WHO = (
    "Who are you?",
    "What are you?",
    "What is your name?",
    "Tell me about yourself.",
    "Are you a person?",
    "Introduce yourself.",
)
_CAN = ("What can you do?", "Help", "How can you help me?", "What should I ask you?", "What are you good at?")
_THANKS = ("Thank you", "Thanks", "Thanks!", "Thank you very much.", "Thanks a lot")
_BYE = ("Goodbye", "Bye", "Bye!", "See you", "Good night")


class Exchange(NamedTuple):
    """A line and the answer to it."""

    asked: str
    answered: str


def exchanges(about: str, skills: Sequence[str], part: Part) -> list[Exchange]:
    """All lines of a part; the last way of asking each is not in training. `skills` are clauses like "reverse a word"."""
    can = f"I can {_listed(skills)}." if skills else "I can only talk a little."
    groups = (
        (_HELLO, f"Hello! I am {about}."),
        (_WHO, f"I am {about}."),
        (_CAN, can),
        (_THANKS, "You are welcome."),
        (_BYE, "Goodbye!"),
    )
    chosen = slice(None, -1) if part == "train" else slice(-1, None)
    return [Exchange(line, answer) for lines, answer in groups for line in lines[chosen]]


def _listed(clauses: Sequence[str]) -> str:
    return clauses[0] if len(clauses) == 1 else f"{', '.join(clauses[:-1])} and {clauses[-1]}"
