"""Making the traffic follow the ledger, for whoever repairs or releases."""

from resources.protocols import ServingTarget


def follow(serving: ServingTarget, model: str, version: int) -> bool:
    """Give the champion all production traffic; returns whether the route had to move."""
    if dict(serving.routes("production", model)) == {version: 100}:
        return False
    serving.route("production", model, {version: 100})
    return True
