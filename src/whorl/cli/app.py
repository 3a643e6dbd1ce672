"""cli/app: the `whorl` command: finds the verb, reads its arguments, and turns what went wrong into one line and an exit code.

Exit codes: 0 ok, 1 failed, 2 a gate said no, 3 bad usage or config. Knows no verb; imports only the one that is called.
"""

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, cast

import typer
from rich.markup import escape

import whorl
from whorl.cli.offline import forbid
from whorl.cli.terminal import Terminal, error_document
from whorl.cli.verbs import PANELS
from whorl.core.door import load, member_names
from whorl.core.errors import UsageError, WhorlError, suggestion

__all__ = ["main", "verb_names"]

DOOR = "whorl.cli.verbs"
_COMPLETING = "_WHORL_COMPLETE"  # set by the shell's completion script
_INTERRUPTED = 130  # what typer makes of Ctrl-C

Verb = Callable[..., int | None]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Answer with JSON on standard output and nothing else there.")]
Offline = Annotated[
    bool, typer.Option("--offline", metavar="", help="Forbid connections to other machines, here and in all stages.")
]

_SHARED = [
    inspect.Parameter("is_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
    inspect.Parameter("is_offline", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Offline),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _app(given)(args=given or ["--help"], prog_name="whorl", standalone_mode=False)
    except WhorlError as error:
        return _failed(given, type(error).__name__, str(error), error.exit_code)
    except typer.TyperException as error:
        return _failed(given, "UsageError", _in_a_sentence(error), UsageError.exit_code)
    except typer.Abort:
        return _failed(given, "Abort", "nothing was done", 1)
    except Exception:  # noqa: BLE001 - a fault of our own must not look like the user's
        sys.stderr.write(traceback.format_exc())
        return _failed(given, "bug", "this is a fault of whorl, not yours; please report it with the lines above", 1)
    if code == _INTERRUPTED:
        return _failed(given, "Interrupted", "interrupted", 1)
    return int(code or 0)


def verb_names() -> tuple[str, ...]:
    """Every verb, sorted; imports none of them."""
    return member_names(DOOR)


def sub_verbs(name: str) -> tuple[str, ...]:
    """The sub-verbs of a verb; none when it is a command itself."""
    names = tuple(sorted(_functions(name)))
    return () if names == (name,) else names


def _app(arguments: list[str]) -> typer.Typer:
    """The application with only the verb that is asked for; with all of them for help and completion."""
    wanted = verb_names()
    has_verb = bool(arguments) and not arguments[0].startswith("-") and _COMPLETING not in os.environ
    if has_verb and arguments[0] not in wanted:
        raise UsageError(f"no verb '{arguments[0]}'{suggestion(arguments[0], wanted)}")
    app = typer.Typer(
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        add_completion=not has_verb,
    )
    # Typer loads pydantic (35 ms) for every option of its own that is offered and not given, so none are beside a verb.
    app.callback(add_help_option=not has_verb)(_root)
    if has_verb:
        _add(app, arguments[0], arguments[1:])
        return app
    for name in sorted(wanted, key=lambda name: (PANELS.index(_panel(name)), name)):
        _add(app, name, ())
    return app


def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Print the version.", is_eager=True, callback=lambda value: _version(value=value)
        ),
    ] = False,
) -> None:
    """From raw text to a language model you can talk to, trust and improve.

    One recipe file describes the whole river: 'plan' says what a run would do, 'run' does it. New here? Try: whorl demo
    """
    del version


def _version(*, value: bool) -> None:
    if value:
        Terminal().say(f"whorl {whorl.__version__}")
        raise typer.Exit


def _add(app: typer.Typer, name: str, rest: Sequence[str]) -> None:
    module, functions = load(f"{DOOR}.{name}"), _functions(name)
    short = _sentence(inspect.getdoc(module) or "")
    if tuple(functions) == (name,):
        _add_command(app, name, functions[name], short=short, panel=_panel(name))
        return
    has_sub_verb = bool(rest) and rest[0] in functions
    group = typer.Typer(help=escape(short), rich_markup_mode="rich", add_help_option=not has_sub_verb)
    for sub_name, function in functions.items():
        _add_command(group, sub_name, function, short="", panel=None)
    app.add_typer(group, name=name, rich_help_panel=_panel(name))


def _add_command(app: typer.Typer, name: str, verb: Verb, *, short: str, panel: str | None) -> None:
    text, _, examples = (inspect.getdoc(verb) or "").partition("\nExamples:\n")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    app.command(
        name,
        help=escape("\n\n".join(paragraphs).strip()),
        short_help=escape(short or paragraphs[0].partition(": ")[0].partition(". ")[0]),
        epilog=escape(f"\nExamples:\n{examples.rstrip()}") if examples else None,
        rich_help_panel=panel,
    )(_with_shared_options(verb))


def _functions(name: str) -> dict[str, Verb]:
    module = load(f"{DOOR}.{name}")
    return {public: cast("Verb", value) for public, value in vars(module).items() if public in cast("Any", module).__all__}


def _panel(name: str) -> str:
    return str(vars(load(f"{DOOR}.{name}")).get("PANEL", PANELS[-1]))


def _sentence(docstring: str) -> str:
    """A module's docstring without the place it opens with."""
    text = " ".join((docstring.partition(": ")[2] or docstring).split())
    return text[:1].upper() + text[1:]


def _with_shared_options(verb: Verb) -> Callable[..., None]:
    """The verb as typer sees it: its own parameters, groups of them one by one, and the options every verb has."""
    signature = inspect.signature(verb)
    own = list(signature.parameters.values())[1:]
    groups = {one.name: one.annotation for one in own if isinstance(one.annotation, type) and is_dataclass(one.annotation)}

    @wraps(verb)
    def call(*, is_json: bool, is_offline: bool, **given: object) -> None:
        if is_offline:
            forbid()
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        raise typer.Exit(verb(Terminal(is_json=is_json), **given) or 0)

    shown = [part for one in own for part in (_options_of(groups[one.name]) if one.name in groups else (one,))]
    cast("Any", call).__signature__ = signature.replace(parameters=[*shown, *_SHARED])
    return call


def _options_of(group: type) -> list[inspect.Parameter]:
    """The fields of a dataclass of options as parameters of a verb."""
    return [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in inspect.signature(group).parameters.values()]


def _failed(arguments: Sequence[str], kind: str, message: str, exit_code: int) -> int:
    terminal = Terminal(is_json="--json" in arguments)
    if terminal.is_json:
        terminal.line(error_document(kind, message, exit_code))
    sys.stderr.write(f"error: {message}\n")
    return exit_code


def _in_a_sentence(error: typer.TyperException) -> str:
    """Typer's complaint in the house's form, with the nearest right word and where to look."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "whorl"
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption":
        return f"'{command}' has no option '{option}'{_nearest_option(str(option), context)}; see '{command} --help'"
    text = error.format_message().strip().rstrip(".")
    if context is not None and text == "Missing command":
        text = f"'{command}' wants one of {', '.join(sorted(context.command.commands))}"
    return f"{text[:1].lower()}{text[1:]}; see '{command} --help'"


def _nearest_option(option: str, context: Any) -> str:  # noqa: ANN401 - typer's context, which it does not export
    known = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
    hint = suggestion(option, known)
    return hint.rstrip("?") if "did you mean" in hint else ""
