"""Which version answers: Envoy's routes as plain data, and what they say when they are read back."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from resources.envoy import BODY, HEADERS, TRY, WHOLE, Backend, versioned
from resources.protocols import Environment

_TYPE = "type.googleapis.com/envoy."
_JSON_HEADER = {
    "header": {"key": "content-type", "value": "application/json"},
    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
}


@dataclass(frozen=True)
class Routing:
    """How one model's requests are spread over its launched versions."""

    shares: Mapping[int, int] = field(default_factory=dict)  # version -> percent, without zeros
    fallback: int | None = None  # the version that answers for the others when they fail
    sticky: str | None = None  # a request header: the same value goes to the same version
    mirror: tuple[int, int] | None = None  # a version without a share, and the percent of copies that it gets

    def canaries(self) -> list[int]:
        """The versions with traffic that another one stands in for."""
        return [version for version in self.shares if version != self.fallback]


def routes(
    environment: Environment, backends: Iterable[Backend], routing: Mapping[str, Routing]
) -> dict[str, Any]:
    """The routes of one environment: each model by its shares, each launched version by its own path."""
    models = sorted(model for model, split in routing.items() if split.shares)
    backends = [backend for backend in backends if backend.environment == environment]
    of_model = {model: {b.version: b for b in backends if b.model == model} for model in models}
    ready = {"ready": bool(models)}
    configuration = {
        "@type": f"{_TYPE}config.route.v3.RouteConfiguration",
        "name": environment,
        # An update that names an unknown cluster is rejected as a whole, and the last good one stays.
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": environment,
                "domains": ["*"],
                "request_body_buffer_limit": BODY,
                "routes": [
                    _reply({"path": "/v2/health/live"}, 200, {"live": True}),
                    _reply({"path": "/v2/health/ready"}, 200 if models else 503, ready),
                    _reply({"path": "/v2/models"}, 200, {"models": models}),
                    *(_pinned(backend) for backend in backends),
                    *(_weighted(of_model[model], model, routing[model]) for model in models),
                    _reply({"prefix": "/"}, 404, {"error": f"{environment} serves no such model"}),
                ],
            }
        ],
    }
    return versioned([configuration])


def _reply(match: Mapping[str, str], status: int, body: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    return {
        "match": dict(match),
        "direct_response": {"status": status, "body": {"inline_string": text}},
        "response_headers_to_add": [_JSON_HEADER],
    }


def _pinned(backend: Backend) -> dict[str, Any]:
    path = f"/v2/models/{backend.model}/versions/{backend.version}"
    return {"match": {"path_separated_prefix": path}, "route": {"cluster": backend.cluster, **_patience()}}


def _weighted(backends: Mapping[int, Backend], model: str, routing: Routing) -> dict[str, Any]:
    # Always in this order: a value's place on the ring of 100 stays, so a raised share takes none back.
    shares = [
        _canary(backends[version], weight)
        if version in routing.canaries()
        else {"name": backends[version].cluster, "weight": weight}
        for version, weight in sorted(routing.shares.items())
    ]
    weighted: dict[str, Any] = {"clusters": shares}
    action: dict[str, Any] = {"weighted_clusters": weighted, **_patience()}
    if routing.sticky:
        weighted["use_hash_policy"] = True
        action["hash_policy"] = [{"header": {"header_name": routing.sticky}}]
    if routing.mirror:
        version, percent = routing.mirror
        copies = {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
        action["request_mirror_policies"] = [
            {"cluster": backends[version].shadow, "runtime_fraction": copies}
        ]
    return {"match": {"path_separated_prefix": f"/v2/models/{model}"}, "route": action}


def _canary(backend: Backend, weight: int) -> dict[str, Any]:
    # Hedged: a canary that takes long (a large batch) goes on while the stable version is asked as well, and
    # the first good answer counts. So patience may be short without failing what only takes long; and the
    # stable version's own requests are never asked twice for it.
    patience = {
        "x-envoy-upstream-rq-per-try-timeout-ms": str(max(1, round(backend.answer_within_s * 1_000))),
        "x-envoy-hedge-on-per-try-timeout": "true",
    }
    mutations = [
        {
            "append": {
                "header": {"key": key, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        }
        for key, value in patience.items()
    ]
    per_route = f"{_TYPE}extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute"
    return {
        "name": backend.canary,
        "weight": weight,
        "typed_per_filter_config": {
            HEADERS: {"@type": per_route, "mutations": {"request_mutations": mutations}}
        },
    }


def _patience() -> dict[str, Any]:
    # A prediction changes nothing, so it may be asked again. For some four seconds in all: a killed server
    # listens again by then, at the latest (its clients then wait in its queue while the model loads).
    # A canary's cluster has a policy of its own, which goes before this one.
    return {
        "timeout": WHOLE,
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset,gateway-error",
            "num_retries": 20,
            "per_try_timeout": TRY,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        },
    }


# -- read back ------------------------------------------------------------------------------------------


def parse_routing(dump: str, environment: Environment) -> dict[str, Routing]:
    """Shares, header and mirror in force, of `/config_dump?resource=dynamic_route_configs`."""
    found: dict[str, Routing] = {}
    for entry in json.loads(dump).get("configs", []):
        configuration = entry.get("route_config", {})
        if configuration.get("name") == environment:
            actions = (route.get("route", {}) for route in configuration["virtual_hosts"][0]["routes"])
            found.update(_read(action) for action in actions if "weighted_clusters" in action)
    return found


def _read(action: Mapping[str, Any]) -> tuple[str, Routing]:
    clusters = action["weighted_clusters"]["clusters"]
    versions = {cluster["name"]: cluster["name"].split("-") for cluster in clusters}
    relied_on = [int(parts[2]) for parts in versions.values() if len(parts) == 3]
    mirrors = [
        (int(policy["cluster"].split("-")[2]), int(policy["runtime_fraction"]["default_value"]["numerator"]))
        for policy in action.get("request_mirror_policies", [])
    ]
    headers = [policy["header"]["header_name"] for policy in action.get("hash_policy", [])]
    routing = Routing(
        shares={int(versions[cluster["name"]][2]): int(cluster["weight"]) for cluster in clusters},
        fallback=relied_on[0] if relied_on else None,
        sticky=headers[0] if headers else None,
        mirror=mirrors[0] if mirrors else None,
    )
    return versions[clusters[0]["name"]][1], routing
