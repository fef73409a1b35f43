"""The catalogue of metrics a gate may name. Names and directions only load with definitions: no scikit-learn."""

# name -> whether more is better
METRICS: dict[str, bool] = {
    "roc_auc": True,
    "average_precision": True,
    "accuracy": True,
    "balanced_accuracy": True,
    "precision": True,
    "recall": True,
    "f1": True,
    "recall_at_1pct_alerts": True,
    "recall_at_5pct_alerts": True,
    "recall_at_10pct_alerts": True,
    "log_loss": False,
    "brier": False,
    "equal_opportunity_gap": False,
}
