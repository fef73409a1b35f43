"""What a training ran on, and naming what is different."""

import hashlib

from mlcicd_assets.ml.training.environment import Environment, capture, differences


def test_the_same_process_does_not_differ_from_itself() -> None:
    lock = b"numpy==2.0\n"

    first, second = capture(lock), capture(lock)

    assert differences(first, second) == []
    assert first.lock == hashlib.sha256(lock).hexdigest()
    assert first.packages["scikit-learn"]
    assert first.cores >= 1
    assert first.cpu


def test_what_changed_is_named_with_both_values() -> None:
    before = capture(b"a", {"OMP_NUM_THREADS": "1"})
    now = before.model_copy(
        update={
            "python": "3.9.1",
            "threads": {},
            "packages": {**before.packages, "numpy": "1.0"},
            "lock": "ff" * 32,
        }
    )

    said = "\n".join(differences(before, now))

    assert f"Python: {before.python} then, 3.9.1 now" in said
    assert "OMP_NUM_THREADS: 1 then, not set now" in said
    assert f"numpy: {before.packages['numpy']} then, 1.0 now" in said
    assert "lock file" in said
    assert len(differences(before, now)) == 4


def test_a_record_from_before_it_was_captured_says_so() -> None:
    assert differences(None, capture()) == ["the environment of the recorded training is not known"]


def test_only_variables_that_decide_are_kept() -> None:
    found = capture(None, {"OMP_NUM_THREADS": "2", "AWS_SECRET_ACCESS_KEY": "do-not-keep"})

    assert found.threads == {"OMP_NUM_THREADS": "2"}
    assert "do-not-keep" not in found.model_dump_json()
    assert Environment.model_validate_json(found.model_dump_json()) == found
