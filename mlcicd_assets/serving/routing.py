"""Making the traffic follow the ledger, for whoever repairs or releases."""

from resources.protocols import ServingTarget


def follow(serving: ServingTarget, model: str, version: int, *, fallback: int | None = None) -> bool:
    """Give the champion all production traffic and end a mirror; returns whether the route had to move.

    `fallback` is a launched version that answers where the champion fails.
    """
    if serving.mirrors("production", model):
        serving.mirror("production", model, None)
    moved = dict(serving.routes("production", model)) != {version: 100}
    if moved or fallback is not None:
        serving.route("production", model, {version: 100}, fallback=fallback)
    return moved
