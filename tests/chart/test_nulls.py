"""Unset, null and empty are the same: a null is accepted and renders, or is refused in the schema's words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import helm
from tests.chart.test_schema import VALUES

DEFAULTS = yaml.safe_load(
    (Path(__file__).parent / "ok" / "vendor-file.yaml").read_text(encoding="utf-8").split("\nargo-cd:")[0]
)["global"]["external-argo-cd"]
BLOCK = {
    "server": [
        *DEFAULTS["server"],
        "url",
        "insecureSkipVerify",
        "caSecretKeyRef",
        "caConfigMapKeyRef",
        "headersSecretRef",
    ],
    "auth": [*DEFAULTS["auth"], "acceptExpiring"],
}
REFUSED = {
    *("image", "image.repository", "image.pullPolicy", "keySecret", "keySecret.name", "keySecret.data"),
    *(
        "keySecret.data.token",
        "hook",
        "hook.timeout",
        "hook.logLevel",
        "hook.enabled",
        "hook.startTimeout",
        "hook.cleanup",
    ),
    *("keeper", "keeper.interval", "keeper.restartConsumers", "networkPolicy", "proxy", "metrics", "runtime"),
    *("metrics.serviceMonitor", "metrics.prometheusRule", "metrics.prometheusRule.expiresWithin", "metrics.dashboard"),
    *(
        "runtime.enabled",
        "runtimeDefaults",
        "runtimeDefaults.enabled",
        "runtimeDefaults.image",
        "runtimeDefaults.replicas",
    ),
    *(
        "app-proxy",
        "sources-server",
        "event-reporter",
        "gitops-operator",
        "hook.serviceAccount",
        "hook.cleanup.enabled",
    ),
    "hook.outputLogPolicy",
}
"""What can not be missing."""


def _leaves(node: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for name, child in node.items():
        if isinstance(child, dict) and child:
            yield from _leaves(child, *above, name)
        else:
            yield (*above, name)


def _set(values: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    place = values
    for key in path[:-1]:
        place = place.setdefault(key, {})
    place[path[-1]] = value
    return values


@pytest.mark.parametrize("path", sorted(REFUSED))
def test_what_can_not_be_missing_is_refused_in_the_schemas_words(path: str) -> None:
    run = helm.template(_set({}, tuple(path.split(".")), None))
    assert run.code
    assert run.refusals(), run.err  # the schema's words, not a template that broke


@pytest.mark.parametrize("name", helm.HELMS)
def test_every_other_value_may_be_null(name: str) -> None:
    values: dict[str, Any] = {}
    paths = [path for path in _leaves(VALUES) if ".".join(path) not in REFUSED]
    assert len(paths) > 60
    for path in paths:
        _set(values, path, None)
    helm.validate(helm.render(values, helm=name))


@pytest.mark.parametrize("name", ["external-arg-cd", "external-argo-cd", "integrations"])
@pytest.mark.parametrize(
    "more", [{}, {"server": {"url": "https://a"}, "auth": {"type": "token", "token": "a"}}], ids=str
)
def test_a_null_in_the_block_is_judged_alike_in_each_spelling(name: str, more: dict[str, Any]) -> None:
    needed = {
        ("auth", "type"),
        *((("auth", "token"),) if more else (("auth", "username"), ("auth", "passwordSecretKeyRef"))),
    }
    needed |= set() if more else {("server", "svc"), ("server", "port")}

    def run(*nulls: tuple[str, str]) -> helm.Run:
        block = {half: {**more.get(half, {}), **{key: None for h, key in nulls if h == half}} for half in BLOCK}
        third = {"argo-cd": {"server": {**block["server"], "auth": block["auth"]}}}
        return helm.template({"global": {name: third if name == "integrations" else block}})

    free = {(half, key) for half, keys in BLOCK.items() for key in keys} - needed - {("server", "url")}
    helm.validate(run(*free).manifests())
    for place in needed:
        refused = run(place)
        assert refused.code, place
        assert refused.refusals(), refused.err
