"""The asset graph by keys, dependencies and checks: a change here is a change of what people rely on.

After a wanted change: MLCICD_UPDATE_SNAPSHOT=1 pytest tests/project/test_graph.py, and read the diff.
"""

import json
import os
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).with_name("graph.json")
UPDATE = bool(os.environ.get("MLCICD_UPDATE_SNAPSHOT"))


@pytest.fixture(scope="module")
def graph():
    import definitions

    return definitions.defs().resolve_asset_graph()


def described(graph) -> dict[str, dict[str, object]]:
    described = {}
    for key in sorted(graph.get_all_asset_keys(), key=lambda key: key.path):
        node = graph.get(key)
        described[key.to_user_string()] = {
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "checks": sorted(
                f"{check.name}{' (blocking)' if graph.get_check_spec(check).blocking else ''}"
                for check in node.check_keys
            ),
            "group": node.group_name,
            "partitioned": node.partitions_def is not None,
        }
    return described


def test_the_graph_is_as_recorded(graph):
    found = described(graph)
    if UPDATE:
        SNAPSHOT.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SNAPSHOT.read_text())


def test_every_asset_has_owner_kinds_description_and_code_version(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        assert node.kinds, key
        assert node.description, key
        assert node.code_version, key


def test_every_declared_gate_is_a_blocking_check(graph):
    from mlcicd_assets.checks.model import check_names
    from mlcicd_assets.ml.catalogue import load_all

    for name, lane in load_all().models.items():
        checks = {
            check.name
            for check in graph.asset_check_keys
            if check.asset_key.path == [name, "evaluation_report"] and graph.get_check_spec(check).blocking
        }
        standing = ["beats_champion", "onnx_parity", "training_serving_skew", "reproducible"]
        assert set(check_names([*lane.model.gates, *standing]).values()) <= checks


def test_the_location_loads_as_dagster_loads_it():
    """Jobs, sensors and schedules are resolved only here, and by `dg check defs`."""
    import dagster as dg

    import definitions

    dg.Definitions.validate_loadable(definitions.defs())
