"""Values as Helm treats them: the chart's defaults, merging, and the auth block behind its two spellings."""

from copy import deepcopy
from pathlib import Path
from typing import Any

BLOCK = "external-arg-cd"
ALIAS = "external-argo-cd"

Values = dict[str, Any]


def chart_file(name: str) -> Path:
    """Return the path of a chart file: beside the code when installed, in ``chart/`` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "chart" / name
    return installed if installed.exists() else package.parents[1] / "chart" / name


def chart_defaults() -> Values:
    """Return the chart's own values.yaml."""
    import yaml  # the hook seldom needs it, and it takes longer to load than this file to read

    defaults: Values = yaml.safe_load(chart_file("values.yaml").read_text(encoding="utf-8"))
    return defaults


def merge(base: Values, over: Values, *, keep_nulls: bool = False) -> Values:
    """Return ``base`` overlaid with ``over`` as Helm does: maps merge, lists and scalars replace, null deletes.

    With ``keep_nulls`` a null that deletes nothing stays, as it does when Helm lays a user's values over a
    chart's. Source: Helm's ``pkg/chartutil/coalesce.go``.
    """
    merged = deepcopy(base)
    for key, value in over.items():
        if value is None and (key in merged or not keep_nulls):
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value, keep_nulls=keep_nulls)
        else:
            merged[key] = deepcopy(value)
    return merged


def resolve_block(values: Values, defaults: Values) -> tuple[Values, str]:
    """Return the block that counts, laid over the defaults, and the name under which it was given.

    ``global.external-argo-cd`` counts when ``global.external-arg-cd`` is absent or says no more than the
    chart's defaults; otherwise ``global.external-arg-cd`` wins as a whole. The template
    ``gitops-runtime-auth.block`` in ``_auth.tpl`` does the same.
    """
    shared = values.get("global") or {}
    standard = defaults["global"][BLOCK]
    canonical = merge(standard, shared.get(BLOCK) or {})
    alias = shared.get(ALIAS)
    if alias and canonical == standard:
        return merge(standard, alias), ALIAS
    return canonical, BLOCK
