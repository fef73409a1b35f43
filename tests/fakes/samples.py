"""A sample of a package's holdout, as if the package were what was trained."""

import polars as pl

from mlcicd_assets.ml.artifact.scoring import Scorer
from mlcicd_assets.serving.skew import Sample, comparable
from tests.fakes.packages import records


def sample(scorer: Scorer, rows: int = 60) -> Sample:
    """Records of another seed than the package's, with its own features and scores."""
    raw = records(rows, seed=7)
    scores = comparable(scorer.predict(raw).scores, scorer.signature)
    keys = pl.DataFrame({"id": list(range(rows))})
    return Sample(records=raw, keys=keys, features=scorer.features(raw), scores=scores)
