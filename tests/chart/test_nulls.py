"""Unset, null and empty are the same: each value set to null is accepted, or refused, by both readers."""

from collections.abc import Iterator
from typing import Any

import pytest

from gitops_runtime_auth.config import settings, values
from gitops_runtime_auth.errors import ConfigurationError
from tests.chart import helm

LIKE_APP_PROXY = {"sources-server", "event-reporter", "gitops-operator"}
"""Deployments of the same schema and template."""


def _paths(node: values.Values, *above: str) -> Iterator[tuple[str, ...]]:
    for name, child in node.items():
        yield (*above, name)
        if isinstance(child, dict) and name not in LIKE_APP_PROXY:
            yield from _paths(child, *above, name)


def _nested(path: tuple[str, ...], value: Any) -> Any:
    return _nested(path[:-1], {path[-1]: value}) if path else value


DEFAULTS = values.chart_defaults()
BLOCK = ("global", values.BLOCK)
ALIAS = ("global", values.ALIAS)
PATHS = [*_paths(DEFAULTS), ALIAS, *((*ALIAS, *path) for path in _paths(DEFAULTS["global"][values.BLOCK]))]


def _accepts(user: values.Values) -> bool:
    try:
        settings.load_values(values.merge(DEFAULTS, user, keep_nulls=True))
    except ConfigurationError:
        return False
    return True


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_both_readers_take_a_null_alike(path: tuple[str, ...]) -> None:
    user = _nested(path, None)
    run = helm.template(user)
    assert (run.code == 0) == _accepts(user), run.err
    if run.code:
        assert run.refusals(), run.err  # the schema's words, not a template that broke
    else:
        helm.validate(run.manifests())


@pytest.mark.parametrize("path", [p[2:] for p in PATHS if p[:2] == ALIAS and len(p) > 2], ids=".".join)
def test_the_alias_takes_a_null_as_the_block_does(path: tuple[str, ...]) -> None:
    for more in ({}, {"server": {"url": "https://a"}}, {"auth": {"type": "token", "token": "a"}}):
        verdicts = [
            _accepts(_nested(block, values.merge(more, _nested(path, None), keep_nulls=True)))
            for block in (BLOCK, ALIAS)
        ]
        assert verdicts[0] == verdicts[1], more
