"""The forms by their names."""

from __future__ import annotations

from collections.abc import Sequence

from freshet.backends.planners.endpoint import decision_form, letters_form, list_form
from freshet.backends.planners.endpoint.chat import Form
from freshet.backends.planners.endpoint.decision_form import DecisionForm
from freshet.backends.planners.endpoint.letters_form import LettersForm
from freshet.backends.planners.endpoint.list_form import ListForm
from freshet.backends.planners.endpoint.server_card import ServerCard
from freshet.backends.planners.endpoint.text_form import TextForm

MOST = {
    "letters": letters_form.MOST,
    "decision": decision_form.MOST,
    "list": list_form.MOST,
    "text": list_form.MOST,
}


def most_options(form: str) -> int:
    """Options of a prompt that a form can list at most."""
    return MOST[form]


def form_of(card: ServerCard, names: Sequence[str]) -> Form:
    """The form in which a server is asked about interests of these names."""
    if card.form == "letters":
        return LettersForm(names, card.alternatives)
    if card.form == "decision":
        return DecisionForm(names)
    return ListForm(names) if card.form == "list" else TextForm(names)
