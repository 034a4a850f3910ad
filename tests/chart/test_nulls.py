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


def _paths(node: dict[str, Any], *above: str) -> Iterator[tuple[str, ...]]:
    for name, child in node.items():
        yield (*above, name)
        if isinstance(child, dict):
            yield from _paths(child, *above, name)


def _nested(path: tuple[str, ...], value: Any) -> Any:
    return _nested(path[:-1], {path[-1]: value}) if path else value


@pytest.mark.parametrize("path", list(_paths(VALUES)), ids=".".join)
def test_a_null_is_a_missing_value(path: tuple[str, ...]) -> None:
    run = helm.template(_nested(path, None))
    assert (run.code != 0) == (".".join(path) in REFUSED), run.err
    if run.code:
        assert run.refusals(), run.err  # the schema's words, not a template that broke
    else:
        helm.validate(run.manifests())


@pytest.mark.parametrize("name", ["external-arg-cd", "external-argo-cd", "integrations"])
@pytest.mark.parametrize(
    "more", [{}, {"server": {"url": "https://a"}}, {"auth": {"type": "token", "token": "a"}}], ids=str
)
def test_a_null_in_the_block_is_judged_alike_in_each_spelling(name: str, more: dict[str, Any]) -> None:
    for half, keys in BLOCK.items():
        for key in keys:
            block = {**more, half: {**more.get(half, {}), key: None}}
            third = {"argo-cd": {"server": {**block.get("server", {}), "auth": block.get("auth", {})}}}
            run = helm.template({"global": {name: third if name == "integrations" else block}})
            needed = {"svc", "port"} if "server" not in more else set()
            needed |= {"type", "token"} if "auth" in more else {"type", "username", "passwordSecretKeyRef"}
            assert (run.code != 0) == (key in needed), (half, key, run.err)
            assert run.code == 0 or run.refusals()
