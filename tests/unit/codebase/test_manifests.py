"""Manifests by schema where there is one, and openly by less where there is none."""

import os

import pytest

from mlcicd_assets.codebase.manifests import CRDS, check_manifests

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec: {ports: [{port: 80}]}\n"
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  rules:
    - backendRefs: [{name: shop, port: 80, WEIGHT: 10}]
"""
CRD = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  names: {kind: Thing}
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}}}
"""


def test_without_manifests_there_is_nothing_to_check(code):
    result = check_manifests(code.project())
    assert result.passed
    assert "nothing to check" in result.looked_at


@pytest.mark.parametrize(
    ("text", "rule", "message"),
    [
        ("a: [1\n", "yaml", "not YAML"),
        ("kind: Service\nmetadata: {name: a}\n", "required", "Service a has no apiVersion"),
        ("apiVersion: v1\nkind: Service\n", "required", "has no metadata.name"),
        (SERVICE.replace("port: 80", "port: http"), "schema", "'http' is not of type 'integer'"),
        (SERVICE.replace("ports", "prts"), "schema", "prts"),
    ],
)
def test_a_mistake_is_told(code, text, rule, message):
    code.write("deploy/one.yaml", text)
    (one,) = check_manifests(code.project()).findings
    assert (one.file, one.rule) == ("deploy/one.yaml", rule)
    assert message in one.message


def test_custom_kinds_are_held_against_their_definitions(code, tmp_path):
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "thing.yaml").write_text(CRD)
    thing = "apiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a}\nspec: {size: 1}\n"
    code.write("deploy/thing.yaml", thing)
    environment = {CRDS: str(tmp_path / "crds")}
    assert check_manifests(code.project(environment=environment)).looked_at == "1 object by schema"
    loose = check_manifests(code.project())
    assert loose.passed
    assert "for apiVersion, kind and name only" in loose.looked_at

    code.edit("deploy/thing.yaml", "size: 1", "size: big, colour: red")
    messages = [one.message for one in check_manifests(code.project(environment=environment)).findings]
    assert any("'big' is not of type 'integer'" in message for message in messages)
    assert any("'colour' was unexpected" in message for message in messages)


@pytest.mark.skipif(not os.environ.get(CRDS), reason="MLCICD_CRDS names no folder of definitions")
def test_the_real_definitions_find_a_misspelt_weight(code):
    code.write("deploy/route.yaml", ROUTE)
    result = check_manifests(code.project(environment={CRDS: os.environ[CRDS]}))
    assert "WEIGHT" in result.summary()


def test_what_other_tools_are_configured_by_is_told_apart(code):
    code.write("deploy/prometheus.yml", "global: {scrape_interval: 15s}\n")
    result = check_manifests(code.project())
    assert result.passed
    assert result.looked_at == "1 document of other tools, well-formed"


def test_templates_are_left_out_and_counted(code):
    code.write("deploy/chart/templates/a.yaml", "name: {{ .Values.name }}\n")
    code.write("deploy/one.yaml", SERVICE)
    assert check_manifests(code.project()).looked_at.endswith(
        "1 template left out: only Helm can render them"
    )
