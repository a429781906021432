"""A chat template that stands in for a model's own, as a user gives it: a file, or the template itself."""

from __future__ import annotations

from pathlib import Path

from beliefmod.errors import UserError


def template_text(given: str) -> str:
    """A chat template: what was given itself, if that is one, or the content of the file that it names.

    Raises:
        UserError: there is no such file, it is no text, or holds no template.
    """
    if _is_template(given):
        return given
    try:
        text = Path(given).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "is no text" if isinstance(error, ValueError) else f"cannot be read ({error.strerror})"
        raise UserError(f"chat template {given} {reason}; give a file with a Jinja template") from None
    if not _is_template(text):
        raise UserError(f"chat template {given} holds no Jinja template: neither {{{{ nor {{% is in it")
    return text


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text
