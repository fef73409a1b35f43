import os
import random

import numpy as np
import pytest

from mlcicd_assets.ml.training.determinism import deterministic

torch = pytest.importorskip("torch")


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: S311  what is tested


def test_the_same_seed_draws_the_same_and_leaves_no_trace() -> None:
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    undisturbed = draws()
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)

    with deterministic(7):
        one = draws()
    with deterministic(7):
        other = draws()
    with deterministic(8):
        third = draws()

    assert one == other
    assert all(a != b for a, b in zip(one, third, strict=True))
    assert draws() == undisturbed


def test_settings_hold_inside_and_are_put_back_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    threads = torch.get_num_threads()

    def failing() -> None:
        with deterministic(0):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_num_threads() == 1
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
            raise KeyError

    with pytest.raises(KeyError):
        failing()

    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ


def test_what_a_person_chose_for_cublas_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")

    with deterministic(0):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"

    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
