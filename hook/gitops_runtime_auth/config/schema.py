"""The chart's ``values.schema.json``, read a second time: Helm may have been told to skip it."""

import json
from functools import cache
from pathlib import Path
from typing import Any

from gitops_runtime_auth.errors import ConfigurationError


def chart_file(name: str) -> Path:
    """Return the path of a chart file: beside the code when installed, in ``chart/`` in a checkout."""
    package = Path(__file__).parents[1]
    installed = package / "chart" / name
    return installed if installed.exists() else package.parents[1] / "chart" / name


def validate(values: Any, block: str) -> None:
    """Raise ConfigurationError for what is most wrong with the settings' ``values``, naming the key.

    ``block`` is the spelling under which the user gave the auth block. No value is shown, because any of them may be
    a credential that stands in the wrong place.
    """
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft7Validator(_settings_schema()).iter_errors(values))
    if error is None:
        return
    key = ".".join(str(part) for part in error.absolute_path).replace("global.external-arg-cd", block, 1)
    wanted = error.schema.get("description") if isinstance(error.schema, dict) else None
    what = {
        "required": "a key that it must have is missing",
        "additionalProperties": "it has a key that this chart does not know",
        "type": f"it must be of type {error.validator_value}",
        "enum": f"it must be one of {error.validator_value}",
        "const": f"it must be {error.validator_value}",
    }.get(str(error.validator), f"it breaks the rule {error.validator}")
    raise ConfigurationError(
        f"{key or 'The settings'} is not right: {what}.",
        f"Correct it in your values{f' ({wanted})' if wanted else ''}; helm lint shows the same without a cluster.",
    )


@cache
def _settings_schema() -> dict[str, Any]:
    schema = json.loads(chart_file("values.schema.json").read_bytes())
    return {"$ref": "#/definitions/settings", "definitions": schema["definitions"]}
