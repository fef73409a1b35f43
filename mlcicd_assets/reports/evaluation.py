"""The evaluation page: one self-contained HTML file for whoever decides, or wonders why it was decided."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlcicd_assets.ml.declarations import ModelDeclaration
from mlcicd_assets.ml.evaluation.evaluate import Evaluation
from mlcicd_assets.ml.evaluation.gates import CHAMPION, GateResult
from mlcicd_assets.ml.evaluation.serving_truths import where_skewed
from mlcicd_assets.reports import wording
from mlcicd_assets.reports.differences import Differences, differences, parameters
from mlcicd_assets.reports.figures import pictures_of, svg
from mlcicd_assets.reports.forest import forest
from mlcicd_assets.reports.omissions import omissions, served_by
from mlcicd_assets.reports.sections import drop_scale, groups_of, judged, priced, served, slice_scale
from mlcicd_assets.reports.tuning import history_svg

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_evaluation(
    evaluation: Evaluation,
    gates: Sequence[GateResult],
    about: ModelDeclaration,
    overrides: Sequence[str] = (),
) -> str:
    """The page as HTML, with nothing to fetch: pictures and styles are inside, and scripts are forbidden.

    `overrides` are those on record for exactly this artifact, in words.
    """
    from markupsafe import Markup

    training, skew = evaluation.training, evaluation.serving.skew if evaluation.serving else None
    failed = [gate for gate in gates if not gate.passed]
    compared = evaluation.champion is not None and not evaluation.champion.problem
    return (
        page_environment()
        .get_template("evaluation.html.j2")
        .render(
            about=about,
            evaluation=evaluation,
            training=training,
            judged=judged(evaluation),
            champion=evaluation.champion,
            significance=evaluation.significance,
            fairness=evaluation.fairness,
            groups=groups_of(evaluation.fairness) if evaluation.fairness else [],
            slices=evaluation.slices,
            slice_scale=slice_scale,
            robustness=evaluation.robustness,
            drop_scale=drop_scale,
            serving=evaluation.serving,
            served=served(evaluation, gates),
            served_by=served_by(evaluation),
            skewed=where_skewed(skew) if skew else "",
            repeated=evaluation.reproducibility,
            price=priced(evaluation, about),
            differs=differs_of(evaluation),
            parameters=parameters(training),
            omissions=omissions(evaluation),
            overrides=overrides,
            gates=[*failed, *(gate for gate in gates if gate.passed)],
            failed=failed,
            # No gates at all is no proof either.
            passed=bool(gates) and not failed,
            against=next((g for g in gates if g.name == CHAMPION and g.passed and compared), None),
            lines=forest(evaluation, gates),
            pictures=[drawn_picture(svg(name, evaluation)) for name in pictures_of(evaluation.task)],
            tuning_picture=drawn_picture(history_svg(training.tuning)) if training.tuning else Markup(""),
        )
    )


def differs_of(evaluation: Evaluation) -> Differences | None:
    """What differs from the champion's training; None where that is not known, or there is none."""
    theirs = evaluation.champion.training if evaluation.champion else None
    return differences(evaluation.training, theirs) if theirs else None


def page_environment() -> "Environment":
    """The pages' templates, and how they write numbers."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mlcicd_assets.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": lambda name: Markup("_<wbr>").join(name.split("_")),
        "count": wording.count,
        "interval": wording.interval,
        "number": wording.number,
        "plain": wording.plain,
        "signed": wording.signed,
        "signs": wording.signs,
        "span": wording.span,
    }
    return environment


def drawn_picture(picture: str) -> "Markup":
    """A picture of ours, to stand in a page as it is."""
    from markupsafe import Markup

    return Markup(picture)  # noqa: S704  drawn by us; matplotlib escapes the texts in it
