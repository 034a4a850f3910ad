"""The chart's ``values.schema.json``, read a second time: the same verdicts as Helm, in our own sentences."""

import difflib
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from hook.errors import ConfigurationError
from hook.values import ALIAS, BLOCK, Values, chart_defaults, chart_file, resolve_block

_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a map",
    "string": "a string",
}
_TYPES = (
    (str, "a text"),
    (bool, "a boolean"),
    (int | float, "a number"),
    (dict, "a map"),
    (list, "a list"),
    (object, "null"),
)


def _like_go(schema: dict[str, Any]) -> dict[str, Any]:
    """Patterns are Go's, whose ``$`` is the end of the text; Python's also fits before a last newline."""
    return {_end(name): _end(value) if name == "pattern" else value for name, value in schema.items()}


def _end(pattern: str) -> str:
    return re.sub(r"\$(?=[|)]|$)", r"\\Z", pattern)


@cache
def _validator() -> Any:
    return Draft7Validator(json.loads(chart_file("values.schema.json").read_bytes(), object_hook=_like_go))


def validate(values: Any) -> None:
    """Raise ConfigurationError for the first thing that is wrong with ``values``, naming the key and the remedy.

    Helm and this function read one schema; what a schema can only say badly is said by ``_auth.tpl`` there
    and by ``_credential`` here.
    """
    errors = sorted(
        _leaves(_validator().iter_errors(values)), key=lambda e: (not _misspelt(e), len(e.absolute_path), str(e.path))
    )
    if errors:
        problem, remedy = _sentences(errors[0])
        raise ConfigurationError(problem, remedy)
    _credential(values)


def effective_block(values: Values) -> Values:
    """Return the ``server`` and ``auth`` that count (see ``values.resolve_block``)."""
    return _resolve(values)[0]


def _resolve(values: Values) -> tuple[Values, str]:
    shared = values.get("global") or {}
    if shared.get(ALIAS) or not shared.get(BLOCK):
        return resolve_block(values, chart_defaults())
    return shared[BLOCK], BLOCK


def _credential(values: Values) -> None:
    block, name = _resolve(values)
    auth, shared = block.get("auth") or {}, values.get("global") or {}
    path, kind = f"global.{name}.auth", auth.get("type")
    ignored = (
        f" (global.{ALIAS} is set too and is ignored: global.{BLOCK} wins)"
        if (name == BLOCK and shared.get(ALIAS))
        else ""
    )
    if kind not in ("password", "token"):
        raise ConfigurationError(f"{path}.type is missing{ignored}.", f"Set {path}.type to password or token.")
    if kind == "password" and not auth.get("username"):
        raise ConfigurationError(
            f"{path}.username is missing{ignored}.", f"Set {path}.username to the Argo CD account's name."
        )
    ref = auth.get(f"{kind}SecretKeyRef") or {}
    if not auth.get(kind) and not (ref.get("name") and ref.get("key")):
        raise ConfigurationError(
            f"{path}.type is {kind}, but neither {path}.{kind} nor {path}.{kind}SecretKeyRef.name and .key are set"
            f"{ignored}.",
            f"Set {path}.{kind}, or {path}.{kind}SecretKeyRef.name and {path}.{kind}SecretKeyRef.key.",
        )


def _leaves(errors: Iterator[ValidationError]) -> Iterator[ValidationError]:
    for error in errors:
        if error.context and error.validator in ("anyOf", "oneOf"):
            # Of several branches, the one that fails deepest is the one the user meant.
            branch = max(error.context, key=lambda e: len(e.absolute_path))
            yield from _leaves(iter([branch]))
        else:
            yield error


def _misspelt(error: ValidationError) -> bool:
    return error.validator == "const" and str(error.validator_value).startswith("under ")


def _sentences(error: ValidationError) -> tuple[str, str]:
    key = _path(error)
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "const" if _misspelt(error):  # see the schema's $comment
            name = error.absolute_path[-1]
            known = re.findall(r"[\w.-]+", wanted.removeprefix("under one of the keys "))
            near = difflib.get_close_matches(str(name), known, 1, 0.65)
            hint = f"Use {near[0]}: put it" if near else "Remove it, or put it"
            return f"{key} is not a key of this chart.", f"{hint} {wanted}."
        case "const":
            return f"{key} is {_shown(error)}, which is not right.", f"Set {key} to {wanted}."
        case "enum" if error.absolute_path:
            allowed = ", ".join(str(v) for v in wanted)
            return f"{key} is {_shown(error)}, which is not allowed.", f"Set {key} to one of {allowed}."
        case "required":
            missing = next(name for name in wanted if name not in instance)
            path = f"{key}.{missing}" if key else missing
            return f"{path} is missing.", f"Set {path}."
        case "type":
            hint = " (on the command line: --set-string)" if wanted == "string" or "string" in wanted else ""
            kinds = [wanted] if isinstance(wanted, str) else wanted
            kind = " or ".join(_KINDS[k] for k in kinds if k != "null")
            return f"{key} is {_shown(error)}, not {kind}.", f"Set {key} to {kind}{hint}."
        case "minimum" | "maximum":
            bound = "at least" if error.validator == "minimum" else "at most"
            return f"{key} is {_shown(error)}, which is out of range.", f"Set {key} to {bound} {wanted}."
        case "minLength":
            return f"{key} is empty.", f"Set {key}."
        case _:
            note = (
                str(error.schema.get("description", "")).split(". ")[0].rstrip(".")
                if isinstance(error.schema, dict)
                else ""
            )
            return (
                f"{key} is not valid ({error.validator} {_limit(wanted)}).",
                f"Correct {key}: {note or 'see the chart README'}.",
            )


def _path(error: ValidationError) -> str:
    """Where it is wrong, in one line: a key may hold a line break."""
    return ".".join(json.dumps(str(part), ensure_ascii=False)[1:-1] for part in error.absolute_path)


def _shown(error: ValidationError) -> str:
    """A value as it may be shown: never one that may be a credential, nor a URL that may hold one."""
    key = str(error.absolute_path[-1]) if error.absolute_path else ""
    text = json.dumps(error.instance, ensure_ascii=False)
    if re.search("password|token", key, re.IGNORECASE) or "@" in text:
        return next(word for kind, word in _TYPES if isinstance(error.instance, kind))
    return text if len(text) <= 60 else text[:57] + "..."


def _limit(wanted: Any) -> str:
    return str(wanted) if isinstance(wanted, int | float | str) else ""
