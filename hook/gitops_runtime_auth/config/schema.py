"""Validates the settings with the chart's ``values.schema.json``, because Helm may have been told to skip it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from gitops_runtime_auth.errors import ConfigurationError


def chart_file(name: str) -> Path:
    """Return the path of a file of the chart: beside the installed code, or in ``chart/`` of a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "chart" / name
    return installed if installed.exists() else package.parents[1] / "chart" / name


def validate(values: Any, block: str) -> None:
    """Raise ConfigurationError for the worst error in the settings' ``values``, with the name of the key.

    ``block`` is the user's spelling of the block. No value is shown, because each of them may be a credential in the
    wrong place.
    """
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft7Validator(_settings_schema()).iter_errors(values))
    if error is None:
        return
    key = ".".join(str(part) for part in error.absolute_path).replace("global.external-arg-cd", block)
    wanted = error.schema.get("description")
    what = {
        "required": "it lacks a required key",
        "additionalProperties": "it has a key that this chart does not know",
        "type": f"it must be of type {error.validator_value}",
        "enum": f"it must be one of {error.validator_value}",
        "const": f"it must be {error.validator_value}",
    }.get(str(error.validator), f"it breaks the rule {error.validator}")
    raise ConfigurationError(
        f"{key or 'The settings file'} is not right: {what}.",
        f"Correct it in your values{f' ({wanted})' if wanted else ''}; helm lint shows the same without a cluster.",
    )


@cache
def _settings_schema() -> dict[str, Any]:
    schema = json.loads(chart_file("values.schema.json").read_bytes())
    return {"$ref": "#/definitions/settings", "definitions": schema["definitions"]}
