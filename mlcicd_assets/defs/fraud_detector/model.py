"""The estimator of fraud_detector: boosted trees on amount, habit, place, device and merchant."""

from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder


def estimator() -> Pipeline:
    """Unfitted; a merchant category that was not seen in training becomes -1."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        (codes, ["category"]), remainder="passthrough", verbose_feature_names_out=False
    )
    trees = HistGradientBoostingClassifier(
        max_iter=80, learning_rate=0.08, max_leaf_nodes=15, min_samples_leaf=40, early_stopping=False
    )
    return Pipeline([("columns", columns), ("trees", trees)])
