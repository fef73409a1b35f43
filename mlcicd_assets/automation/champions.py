"""Who is champion, by digest."""

from collections.abc import Iterable

from mlcicd_assets.release.run_files import champion_pointer
from resources.protocols import Ledger


def champion_digests(ledger: Ledger, models: Iterable[str]) -> dict[str, str]:
    """The digest of each model's champion, as the ledger recorded it; a model without one is left out."""
    champions = {}
    for model in models:
        version = ledger.pointer(champion_pointer(model))
        if version is None:
            continue
        digests = [entry.digest for entry in ledger.entries(model) if str(entry.version) == version]
        known = [digest for digest in digests if digest]
        if known:
            champions[model] = known[-1]
    return champions
