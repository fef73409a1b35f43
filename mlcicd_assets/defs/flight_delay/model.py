"""The estimator of flight_delay: boosted trees on schedule, weather and aircraft."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def estimator() -> Pipeline:
    """Unfitted; carriers and airports not seen in training become -1, missing numbers stay missing."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        (codes, ["carrier", "origin", "dest"]), remainder="passthrough", verbose_feature_names_out=False
    )
    trees = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=50, early_stopping=False
    )
    return Pipeline([("columns", columns), ("trees", trees)])
