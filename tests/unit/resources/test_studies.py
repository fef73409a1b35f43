from pathlib import Path

import pytest

from resources.protocols import ResourceError
from resources.studies import OptunaStudies


def test_a_search_is_found_again_by_another_process_s_storage(tmp_path: Path) -> None:
    import optuna

    url = f"sqlite:///{tmp_path}/home/tuning.db"
    study = optuna.create_study(storage=OptunaStudies(url).storage(), study_name="returns")
    study.tell(study.ask(), 0.5)

    again = optuna.load_study(storage=OptunaStudies(url).storage(), study_name="returns")

    assert again.best_value == 0.5


def test_a_place_that_cannot_be_opened_is_named_without_its_password() -> None:
    with pytest.raises(ResourceError, match="MLCICD_TUNING_URL"):
        OptunaStudies("sqlite:////proc/tuning/tuning.db").storage()
    assert "s3cret" not in repr(OptunaStudies("postgresql://user:s3cret@host/tuning"))
