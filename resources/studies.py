"""Optuna's storage of searches for parameters: SQLite in the home by default, any SQLAlchemy URL."""

from pathlib import Path
from typing import Any

from resources.protocols import ResourceError

_SQLITE = "sqlite:///"


class OptunaStudies:
    """Implements `Studies`; several processes may use one storage."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __repr__(self) -> str:
        return f"OptunaStudies({self._place})"

    def storage(self) -> Any:
        """Open the storage and make its tables where they are missing; raises ResourceError."""
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            if self._url.startswith(_SQLITE):
                Path(self._url.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
            return optuna.storages.RDBStorage(self._url, engine_kwargs={"pool_pre_ping": True})
        except (OSError, SQLAlchemyError, ImportError, RuntimeError) as error:
            raise ResourceError(
                f"the storage of tuning at {self._place} cannot be opened: {type(error).__name__}; "
                "make its folder writable, or name a database of this version of Optuna by MLCICD_TUNING_URL"
            ) from error

    @property
    def _place(self) -> str:
        """The URL without its password."""
        from sqlalchemy.engine import make_url

        return make_url(self._url).render_as_string(hide_password=True)
