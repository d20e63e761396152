"""Prompts by a template of the user: Jinja2, in a sandbox, checked before anything is asked.

Whoever writes the template decides what the model reads; what is put into it are names, words of strength and
titles. Titles come from a catalogue, which others may write: they are data to Jinja, and are cleaned of what
could end a line, hide, or look like a marker of a chat. A title that reads like an instruction can still sway
a model, which then orders the interests it may choose from wrongly. Nothing else can come of it, since
answers are held to these interests.
"""

from __future__ import annotations

import hashlib
import json
import re
import traceback
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from freshet.core.errors import ConfigError
from freshet.core.prompts import Question, Wording
from freshet.core.types import Context, Prompt

if TYPE_CHECKING:
    from jinja2 import Template

KNOWLEDGE = "knowledge"
"""Name of the template that comes with Freshet, for models that follow instructions."""
_OWN = Path(__file__).parent / "knowledge.jinja"

VARIABLES = ("liked", "history", "after", "evidence", "count")
"""What a template may name. Options are listed behind it by whoever asks, with the labels of the answer."""
CHOICES = 5
"""What a model is asked to choose at most (`count`)."""
TITLE = 80
"""Characters that are left of a title."""

_SEPARATOR = re.compile(r"^---[ \t]*$", re.MULTILINE)
_MARKERS = re.compile(r"[<>{}]+|\[/?(?:INST|[A-Z]+_[A-Z_]+)\]")  # [INST] of Llama 2, [TOOL_CALLS] of Mistral
_ADDRESS = re.compile(r"<[^<>]+ at 0x[0-9a-f]+>")
_HINT = "docs/how-to/prompts.md lists what a template may use"


def clean(title: str) -> str:
    """A title as it may stand in a prompt: one line of at most 80 characters, without marks that act or hide.

    Braces and angle brackets are dropped as well: templates and the markers of chats are made of them.
    """
    plain = unicodedata.normalize("NFKC", title[: 5 * TITLE])
    kept = (" " if one.isspace() else one for one in plain if one.isspace() or _is_visible(one))
    text = " ".join(_MARKERS.sub(" ", "".join(kept)).split())
    return text if len(text) <= TITLE else text[: TITLE - 1].rstrip() + "…"


def _is_visible(character: str) -> bool:
    return unicodedata.category(character)[0] != "C"


@dataclass(frozen=True, slots=True)
class Named:
    """An interest in a template; printed, it is its name.

    Attributes:
        titles: of a few items that are typical of it.
        strength: what share of people went there, where evidence names it; else ''.
    """

    name: str
    titles: tuple[str, ...] = ()
    strength: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def listed(self) -> str:
        """The name with titles, as it reads among options."""
        return f"{self.name} (such as {'; '.join(self.titles)})" if self.titles else self.name


class PromptTemplate:
    """A template that was read and checked.

    Args:
        source: its text; a line `---` separates the system's message from the user's.
        where: its file, for messages.

    Raises:
        ConfigError: its syntax is wrong, or it names or reaches for what there is not.
    """

    def __init__(self, source: str, where: str) -> None:
        self.source = source
        self.where = where
        at = _SEPARATOR.search(source)
        system, user = ("", source) if at is None else (source[: at.start()], source[at.end() :])
        # the user's part keeps its line numbers
        self._parts = (
            self._compiled(system),
            self._compiled("\n" * source[: at.end() if at else 0].count("\n") + user),
        )

    @classmethod
    def named(cls, name: str, root: Path) -> PromptTemplate:
        """The template of `[planner] template`, where that is not ''.

        Args:
            name: "knowledge", or a file as named from `root`.

        Raises:
            ConfigError: the file can't be read, or is wrong.
        """
        path = _OWN if name == KNOWLEDGE else root / Path(name).expanduser()
        try:
            return cls(path.read_text(encoding="utf-8"), KNOWLEDGE if name == KNOWLEDGE else name)
        except OSError as error:
            why = error.strerror
        except UnicodeDecodeError as error:
            why = f"it is not UTF-8: {error}"
        raise ConfigError(
            f"[planner] template: {path} can't be read: {why}",
            hint=f'name a file from the workspace, or "{KNOWLEDGE}", the template that comes with Freshet',
        )

    def uses(self, name: str) -> bool:
        """Whether a variable, or an attribute of one, occurs in it."""
        return name in self._used

    def render(self, **values: Any) -> tuple[str, str]:
        """The system's message and the user's.

        Raises:
            ConfigError: it fails on these values; the message names the line.
        """
        found = [self._rendered(part, values) for part in self._parts]
        return found[0], found[1]

    @cached_property
    def _used(self) -> frozenset[str]:
        from jinja2 import nodes

        tree = _environment().parse(_SEPARATOR.sub("", self.source, count=1))
        found = {node.name for node in tree.find_all(nodes.Name)}
        found |= {node.attr for node in tree.find_all(nodes.Getattr)}
        # as in `interest["titles"]` and `map(attribute="titles")`
        return frozenset(found | {str(node.value) for node in tree.find_all(nodes.Const)})

    def _compiled(self, source: str) -> Template:
        from jinja2 import TemplateSyntaxError, meta, nodes
        from jinja2.environment import Template

        environment = _environment()
        try:
            tree = environment.parse(source, self.where, self.where)
            unknown = meta.find_undeclared_variables(tree) - {*VARIABLES, *environment.globals}
            code = environment.compile(tree, self.where, self.where)
        except TemplateSyntaxError as error:
            self._refuse(error.lineno, error.message or "wrong syntax")
        for node in tree.find_all(nodes.Name):
            if node.name in unknown:
                self._refuse(node.lineno, f"there is no variable '{node.name}', but {', '.join(VARIABLES)}")
        for other in tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            self._refuse(other.lineno, "a template can't read another file")
        return Template.from_code(environment, code, environment.make_globals(None))

    def _rendered(self, part: Template, values: dict[str, Any]) -> str:
        from jinja2 import TemplateError

        try:
            return part.render(values).strip()
        except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
            lines = [
                frame.lineno
                for frame in traceback.extract_tb(error.__traceback__)
                if frame.filename == self.where
            ]
            self._refuse(lines[-1] if lines else None, str(error))

    def _refuse(self, line: int | None, why: str) -> NoReturn:
        at = self.where if line is None else f"{self.where}, line {line}"
        raise ConfigError(f"[planner] template: {at}: {why}", hint=_HINT) from None


class TemplateWording(Wording):
    """Questions in the words of a template.

    Args:
        template: what it reads decides what prompts depend on.
        names: of the interests.
        titles: of items typical of each interest, N tuples of cleaned titles.
        lists: prompts say how options read; not for models tuned here, which answer with names.
    """

    def __init__(
        self,
        template: PromptTemplate,
        names: Sequence[str],
        titles: Sequence[tuple[str, ...]],
        *,
        lists: bool,
    ) -> None:
        self._template = template
        self._names = names
        self._interests = [Named(name, own) for name, own in zip(names, titles, strict=True)]
        self._listing = tuple(one.listed for one in self._interests) if lists else ()

    @property
    def names(self) -> Sequence[str]:
        return self._names

    @cached_property
    def version(self) -> str:
        """Of the template's text and the titles."""
        told = [self._template.source, [one.titles for one in self._interests], bool(self._listing)]
        return hashlib.blake2b(json.dumps(told).encode(), digest_size=16).hexdigest()

    @property
    def reads_evidence(self) -> bool:
        return self._template.uses("evidence")

    @property
    def reads_history(self) -> bool:
        return self._template.uses("history")

    def prompt(self, question: Question) -> Prompt:
        """Raises ConfigError where the template fails on the question."""
        system, text = self._template.render(
            liked=self._named(question.context),
            history=[clean(title) for title in question.history],
            after=self._named(question.after),
            evidence=[replace(self._interests[index], strength=word) for word, index in question.named],
            count=min(CHOICES, len(question.options) or len(self._names)),
        )
        listing = self._listing
        if listing and question.options:
            listing = tuple(listing[option] for option in question.options)
        return Prompt(question.context, text, system, question.options, listing)

    def _named(self, interests: Context) -> list[Named]:
        return [self._interests[index] for index in interests]


def check(template: PromptTemplate) -> None:
    """Try a template on all kinds of questions.

    Raises:
        ConfigError: it fails on one, or says nothing.
    """
    names = tuple(f"interest {number}" for number in range(4))
    for titles, context, told, history in product(
        ((), ("one title", "another")), ((), (0,), (0, 1)), (False, True), ((), ("an item", "a later item"))
    ):
        wording = TemplateWording(template, names, (titles,) * len(names), lists=False)
        after, named = (context[1:], (("many", 2), ("few", 3))) if told else ((), ())
        prompt = wording.prompt(Question(context, after, named, history=history))
        if not prompt.text:
            raise ConfigError(f"[planner] template: {template.where} gives an empty prompt", hint=_HINT)
        if found := _ADDRESS.search(prompt.system + prompt.text):  # another one each time: all is asked again
            raise ConfigError(
                f"[planner] template: {template.where} prints {found[0]}",
                hint="a filter such as `map` gives no text: end it with `| join(', ')` or `| list`",
            )


def _environment() -> Any:
    """Templates that see what they are given, and nothing else; what is random has no place in a prompt."""
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    found = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found.globals = {"range": found.globals["range"], "namespace": found.globals["namespace"]}
    del found.filters["random"]
    return found
