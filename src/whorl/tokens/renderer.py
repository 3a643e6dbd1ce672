"""tokens/renderer: messages to ids: the one place that knows chat markup.

A conversation is `<|bos|>` and then, for every turn, `<|role|>` content `<|end|>`, without a space or a newline between, so
that no header can be half trained. Training (ids and loss mask), exams and serving (prompt) come from here, and rendered text
is never tokenized again: content that spells markup stays content. Loss falls on what the assistant says and on the
`<|end|>` after it, which is what teaches a model to stop. The jinja template says the same for tools that insist on text; it
cannot protect content that spells markup, which is why nothing in the house uses it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from whorl.core.canonical import digest
from whorl.core.errors import ArtifactError, DataError, UsageError, suggestion
from whorl.core.records import Dialogue, Message
from whorl.tokens.tokenizer import END, ROLE_TOKENS, TEMPLATE_FILE, Tokenizer

__all__ = ["TEMPLATE", "Rendered", "Renderer", "Span", "template"]

_RULES_VERSION = 1  # raise it when the same messages would give other ids or another loss mask

TEMPLATE: Final = """\
{{- bos_token -}}
{%- for message in messages -%}
{%- if message['role'] not in ['system', 'user', 'assistant', 'tool'] -%}
{{- raise_exception('unknown role ' ~ message['role'] ~ '; want system, user, assistant or tool') -}}
{%- endif -%}
{%- if message['role'] == 'system' and not loop.first -%}
{{- raise_exception('a system turn may only come first') -}}
{%- endif -%}
{{- '<|' ~ message['role'] ~ '|>' ~ message['content'] ~ '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>' -}}
{%- endif -%}
"""

_NO_CHAT: Final = "{{- raise_exception('this tokenizer has no tokens that open turns: it was loaded with chat: false') -}}\n"


def template(end: str, roles: Mapping[str, str]) -> str:
    """The markup as a jinja template, with the tokens of one vocabulary; without role tokens, one that says so."""
    if not roles:
        return _NO_CHAT
    if end == END and roles == ROLE_TOKENS:
        return TEMPLATE
    opens = ", ".join(f"'{role}': {_quoted(token)}" for role, token in roles.items())
    return f"{{%- set opens = {{{opens}}} -%}}\n" + TEMPLATE.replace(
        "'<|' ~ message['role'] ~ '|>'", "opens[message['role']]"
    ).replace("'<|end|>'", _quoted(end)).replace("'<|assistant|>'", "opens['assistant']")


def _quoted(token: str) -> str:
    escaped = token.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Span(NamedTuple):
    """Where one turn lies: `ids[start:stop]` is its content and its `<|end|>`; `ids[start - 1]` is its header."""

    role: str
    start: int
    stop: int


@dataclass(frozen=True)
class Rendered:
    """A conversation as ids. `loss_mask[i]` says whether predicting `ids[i]` is trained."""

    ids: list[int]
    loss_mask: list[bool]
    spans: tuple[Span, ...]  # one per message, in order


class Renderer:
    """The markup of one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Raises ArtifactError when the tokenizer was kept with another chat template than this one."""
        own = template(tokenizer.frame["end"], tokenizer.roles)
        if tokenizer.files[TEMPLATE_FILE] != own:
            raise ArtifactError(
                f"{TEMPLATE_FILE} of tokenizer {tokenizer.fingerprint[:12]} is not the markup this renderer writes; "
                "what is trained and what is served would differ; learn the tokenizer again with tokens.learn, or bring it in "
                "with tokens.load"
            )
        self.tokenizer: Final = tokenizer
        self.template: Final = own
        self.stop_ids: Final = frozenset({tokenizer.end})
        self.fingerprint: Final = digest(["renderer", _RULES_VERSION, own, tokenizer.fingerprint])

    def render(self, messages: Sequence[Message]) -> Rendered:
        """A whole conversation for training.

        Raises DataError for messages that are no conversation, ArtifactError when the tokenizer has no role tokens.
        """
        self._check_roles()
        check_messages(messages)
        return self._assemble(messages, iter([self.tokenizer.encode(message.content) for message in messages]))

    def render_dialogues(self, dialogues: Sequence[Dialogue]) -> list[Rendered]:
        """`render` for many dialogues on all cores. Raises DataError naming the dialogue that is no conversation."""
        self._check_roles()
        for dialogue in dialogues:
            try:
                check_messages(dialogue.messages)
            except DataError as error:
                raise DataError(f"dialogue {dialogue.id}: {error}") from error
        contents = [message.content for dialogue in dialogues for message in dialogue.messages]
        encoded = (ids.tolist() for ids in self.tokenizer.encode_batch(contents))
        return [self._assemble(dialogue.messages, encoded) for dialogue in dialogues]

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The ids to generate from: the conversation so far and the header of the assistant's turn.

        For any conversation whose turn k is the assistant's, `prompt(m[:k])` begins `render(m).ids`. Raises UsageError
        when the last turn is already the assistant's.
        """
        return self._opened(messages, self.render(messages).ids)

    def prompt_of(self, messages: Sequence[Message], contents: Sequence[Sequence[int]]) -> list[int]:
        """`prompt`, of turns whose contents are ids already: what a model has said is not cut into tokens a second time.

        `contents` are one per message and hold no markup. Raises as `prompt` does.
        """
        assert len(contents) == len(messages), "every message has its content"
        self._check_roles()
        check_messages(messages)
        return self._opened(messages, self._assemble(messages, map(list, contents)).ids)

    def _opened(self, messages: Sequence[Message], ids: list[int]) -> list[int]:
        """A conversation with the header of the assistant's next turn."""
        if messages[-1].role == "assistant":
            raise UsageError("the last message is the assistant's; want a prompt that ends with a user or tool turn")
        return [*ids, self.tokenizer.role("assistant")]

    def _check_roles(self) -> None:
        missing = [role for role in ROLE_TOKENS if role not in self.tokenizer.roles]
        if missing:
            raise ArtifactError(
                f"tokenizer {self.tokenizer.fingerprint[:12]} has no token that opens a turn of {', '.join(missing)}, so it "
                "cannot render a chat; bring the vocabulary in again with tokens.load and chat: true"
            )

    def _assemble(self, messages: Sequence[Message], encoded: Iterator[list[int]]) -> Rendered:
        """Takes one list of ids from `encoded` per message."""
        ids, mask, spans = [self.tokenizer.bos], [False], []
        for message in messages:
            turn = [*next(encoded), self.tokenizer.end]
            ids.append(self.tokenizer.role(message.role))
            spans.append(Span(message.role, len(ids), len(ids) + len(turn)))
            ids += turn
            mask += [False, *[message.role == "assistant"] * len(turn)]
        return Rendered(ids, mask, tuple(spans))


def check_messages(messages: Sequence[Message]) -> None:
    """Raises DataError, naming the turn, for what is no conversation: no turns, an unknown role, a late system turn."""
    if not messages:
        raise DataError("a conversation without messages; want at least one")
    for number, message in enumerate(messages):
        where = f"message {number} of {len(messages)}"
        if message.role not in ROLE_TOKENS:
            hint = suggestion(str(message.role), tuple(ROLE_TOKENS))
            raise DataError(f"{where}: unknown role {message.role!r}{hint}")
        if not isinstance(message.content, str):
            raise DataError(f"{where}: content is {type(message.content).__name__}; want a string")
        if message.role == "system" and number:
            raise DataError(f"{where}: a system turn may only come first; join system texts into one message")
