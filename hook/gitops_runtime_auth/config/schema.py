"""The chart's ``values.schema.json``, read a second time: the same verdicts as Helm, in our own sentences."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from jsonschema_rs import Draft7Validator, ValidationError

from gitops_runtime_auth.config.values import ALIAS, BLOCK, Values, chart_defaults, chart_file, resolve_block
from gitops_runtime_auth.errors import ConfigurationError

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


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(chart_file("values.schema.json").read_bytes())
    return schema


@cache
def _validator() -> Draft7Validator:
    return Draft7Validator(_schema())


def validate(values: Any) -> None:
    """Raise ConfigurationError for the first thing that is wrong with ``values``, naming the key and the remedy.

    Helm and this function read one schema; what a schema can only say badly is said by ``_auth.tpl`` there
    and by ``_credential`` here.
    """
    errors = sorted(
        _leaves(_validator().iter_errors(values)),
        key=lambda e: (not _misspelt(e), len(e.instance_path), str(e.instance_path[-1:])),
    )
    if errors:
        problem, remedy = _sentences(errors[0], _keys(errors[0], values))
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


def _leaves(errors: Iterable[ValidationError]) -> Iterator[ValidationError]:
    for error in errors:
        if error.kind.name in ("anyOf", "oneOf"):
            # Of several branches, the one that fails deepest is the one the user meant.
            kind: Any = error.kind  # its type does not say which of the kinds it is
            failed = (leaf for branch in kind.context for leaf in branch)
            yield from _leaves([max(failed, key=lambda e: len(e.instance_path))])
        else:
            yield error


def _misspelt(error: ValidationError) -> bool:
    return error.kind.name == "const" and str(error.kind.value).startswith("under ")


def _sentences(error: ValidationError, keys: list[str | int]) -> tuple[str, str]:
    key = _path(keys)
    wanted: Any = error.kind.value
    keyword = error.kind.name
    match keyword:
        case "const" if _misspelt(error):  # see the schema's $comment
            name = keys[-1]
            known = re.findall(r"[\w.-]+", wanted.removeprefix("under one of the keys "))
            near = difflib.get_close_matches(str(name), known, 1, 0.65)
            hint = f"Use {near[0]}: put it" if near else "Remove it, or put it"
            return f"{key} is not a key of this chart.", f"{hint} {wanted}."
        case "const":
            return f"{key} is {_shown(error)}, which is not right.", f"Set {key} to {wanted}."
        case "enum" if keys:
            allowed = ", ".join(str(v) for v in wanted)
            return f"{key} is {_shown(error)}, which is not allowed.", f"Set {key} to one of {allowed}."
        case "required":
            path = f"{key}.{wanted}" if key else wanted
            return f"{path} is missing.", f"Set {path}."
        case "type":
            hint = " (on the command line: --set-string)" if wanted == "string" or "string" in wanted else ""
            kinds = [wanted] if isinstance(wanted, str) else wanted
            kind = " or ".join(_KINDS[k] for k in kinds if k != "null")
            return f"{key} is {_shown(error)}, not {kind}.", f"Set {key} to {kind}{hint}."
        case "minimum" | "maximum":
            bound = "at least" if keyword == "minimum" else "at most"
            return f"{key} is {_shown(error)}, which is out of range.", f"Set {key} to {bound} {wanted}."
        case "minLength":
            return f"{key} is empty.", f"Set {key}."
        case _:
            note = str(_rule(error).get("description", "")).split(". ")[0].rstrip(".")
            return (
                f"{key} is not valid ({keyword} {_limit(wanted)}).",
                f"Correct {key}: {note or 'see the chart README'}.",
            )


def _rule(error: ValidationError) -> dict[str, Any]:
    """The part of the schema whose keyword is broken."""
    rule: Any = _schema()
    for step in error.schema_path[:-1]:
        rule = rule[step]
    return rule if isinstance(rule, dict) else {}


def _keys(error: ValidationError, values: Any) -> list[str | int]:
    """Where it is wrong. The library leaves an empty key at the end out."""
    found = values
    for key in error.instance_path:
        found = found[key]
    nameless = isinstance(found, dict) and "" in found and found != error.instance
    return [*error.instance_path, ""] if nameless else error.instance_path


def _path(keys: list[str | int]) -> str:
    """The keys in one line: one may hold a line break, or be empty."""
    return ".".join(json.dumps(str(key), ensure_ascii=False)[1:-1] if key != "" else '""' for key in keys)


def _shown(error: ValidationError) -> str:
    """A value as it may be shown: never one that may be a credential, nor a URL that may hold one."""
    key = str(error.instance_path[-1]) if error.instance_path else ""
    text = json.dumps(error.instance, ensure_ascii=False)
    if re.search("password|token", key, re.IGNORECASE) or "@" in text:
        return next(word for kind, word in _TYPES if isinstance(error.instance, kind))
    return text if len(text) <= 60 else text[:57] + "..."


def _limit(wanted: Any) -> str:
    return str(wanted) if isinstance(wanted, int | float | str) else ""
