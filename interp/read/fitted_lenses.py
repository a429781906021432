"""Which lenses arms are read through, fitted where they must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interp.lens_settings import NOTE, LensSettings, Say
from interp.read.fit_texts import lens_texts
from interp.read.reading_rows import LOGIT, View

if TYPE_CHECKING:
    from interp.opened.inspection import Inspection
    from interp.read.translation import Translation


def views(
    inspection: Inspection, adapters: Sequence[str], settings: LensSettings, say: Say
) -> tuple[View, ...]:
    """The lenses of the settings: those fitted on base, for every arm, and of the tuned and Jacobian lens one
    more per adapter, fitted on that arm and for it alone.

    Args:
        adapters: those in the engine that get lenses of their own.

    Raises:
        UserError: too few neutral texts to fit a lens on.
    """
    found = [LOGIT] if "logit" in settings.lenses else []
    for name in settings.lenses:
        if name == "logit":
            continue
        base = inspection.once(("lens", name), lambda name=name: _fit(inspection, name, None, settings, say))
        found.append(View(name, base.fitted_on, base.translate))
        for adapter in adapters:
            own = _fit(inspection, name, adapter, settings, say)
            found.append(View(name, own.fitted_on, own.translate, adapter))
    return tuple(found)


def _fit(
    inspection: Inspection, name: str, adapter: str | None, settings: LensSettings, say: Say
) -> Translation:
    """A lens fitted on one arm; base's says how well it does on texts that it was not fitted on."""
    from interp.read.jacobian import fit_jacobian
    from interp.read.tuned import fit_tuned

    engine = inspection.session.engine
    say(f"lens: fitting a {name} lens on {adapter or 'base'}")
    texts = inspection.once("lens texts", lambda: lens_texts(inspection))
    fit = {"tuned": fit_tuned, "jacobian": fit_jacobian}[name]
    fitted = fit(engine, texts, adapter, seed=settings.seed)
    for note in fitted.notes:
        say(f"{NOTE}{adapter or 'base'}: {note}")
    if adapter is None:
        kl, plain = (
            ", ".join(f"{value:.2f}" for value in values)
            for values in ([h.kl for h in fitted.held_out], [h.kl_logit for h in fitted.held_out])
        )
        say(
            f"{NOTE}{name} lens on base, KL(last entry || entry) on texts held out, nats per entry: {kl} "
            f"(logit lens: {plain})"
        )
    return fitted
