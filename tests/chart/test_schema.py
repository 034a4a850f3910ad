"""The schema itself: closed, described, in step with values.yaml and _auth.tpl."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import yaml

from tests.chart import helm

TEXT = (helm.CHART / "values.schema.json").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads(TEXT)
VALUES: dict[str, Any] = yaml.safe_load((helm.CHART / "values.yaml").read_text(encoding="utf-8"))
OPEN = {"#/properties/global"}
"""Shared with parent charts."""
REQUIREMENTS = tuple(f"#/definitions/{name}" for name in ("complete", "ownImage", "runsOurs", "fewKeepers"))
DRAFT_07 = {
    *("$schema", "$comment", "$ref", "title", "description", "type", "properties", "patternProperties", "required"),
    *("additionalProperties", "propertyNames", "items", "enum", "const", "if", "then", "else", "not", "allOf"),
    *("anyOf", "definitions", "pattern", "minLength", "maxLength", "minimum", "maximum", "maxItems"),
}


def _schemas(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the file, with its path."""
    if not isinstance(node, dict):
        return
    yield path, node
    for word in ("properties", "patternProperties", "definitions"):
        for name, child in node.get(word, {}).items():
            yield from _schemas(child, f"{path}/{word}/{name}")
    for word in ("additionalProperties", "propertyNames", "items", "if", "then", "else", "not"):
        yield from _schemas(node.get(word), f"{path}/{word}")
    for word in ("allOf", "anyOf"):
        for number, child in enumerate(node.get(word, [])):
            yield from _schemas(child, f"{path}/{word}/{number}")


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def _declares(path: str) -> bool:
    """Tell whether a schema says what exists, as opposed to a condition or a requirement on top of it."""
    conditions = ("/if", "/then", "/else", "/not", "/anyOf", "/allOf")
    return not any(word in path for word in conditions) and not path.startswith(REQUIREMENTS)


def test_it_is_a_draft_07_schema_of_keywords_that_helm_3_and_4_know() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    for path, schema in _schemas(SCHEMA):
        assert set(schema) <= DRAFT_07, path
        # Draft-07 ignores whatever stands beside a $ref.
        assert "$ref" not in schema or len(schema) == 1, path


def test_no_key_is_written_twice() -> None:
    # JSON readers silently take the last one.
    def closed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        assert len(found) == len(pairs), [name for name, _ in pairs]
        return found

    json.loads(TEXT, object_pairs_hook=closed)


def test_patterns_mean_the_same_to_go_and_to_rust() -> None:
    patterns = [s["pattern"] for _, s in _schemas(SCHEMA) if "pattern" in s]
    patterns += [p for _, s in _schemas(SCHEMA) for p in s.get("patternProperties", {})]
    assert len(patterns) > 20
    for pattern in patterns:
        # Classes of letters, digits and blanks are ASCII in Go, Unicode in Rust.
        assert not re.search(r"\\[swdbSWDB]|\(\?", pattern), pattern


def test_every_object_is_closed_and_the_refusal_lists_its_keys() -> None:
    seen = 0
    for path, schema in _schemas(SCHEMA):
        raw = "definitions/by" in path or "definitions/given" in path or ("/items" in path and "extraVolume" in path)
        if "properties" not in schema or not _declares(path) or path in OPEN or raw:
            continue
        keys = ", ".join(schema["properties"])
        assert schema["additionalProperties"] == {"const": f"under one of the keys {keys}"}, path
        seen += 1
    assert seen > 12


def test_every_key_is_described() -> None:
    for path, schema in _schemas(SCHEMA):
        if _declares(path) and "definitions/by" not in path and "definitions/given" not in path:
            for name, child in schema.get("properties", {}).items():
                assert _resolved(child).get("description"), f"{path}/{name}"


def test_values_have_every_key_and_no_other() -> None:
    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        known = _resolved(schema).get("properties", {})
        given_by_user = {"password", "token", "tokenSecretKeyRef", "external-argo-cd", "enabled"}
        assert set(known) - set(values) <= given_by_user, path
        for name, value in values.items():
            deeper = isinstance(value, dict) and "properties" in _resolved(known[name])
            if deeper and name not in ("resources", "affinity"):
                compare(value, known[name], f"{path}.{name}")

    compare(VALUES, SCHEMA, "values")


def test_auth_tpl_has_the_defaults_of_values_yaml() -> None:
    text = (helm.CHART / "templates/_auth.tpl").read_text(encoding="utf-8")
    found = re.search(r'define "gitops-runtime-auth.defaults" -}}\n(.*?){{- end', text, re.DOTALL)
    assert found
    assert yaml.safe_load(found[1]) == VALUES["global"]["external-arg-cd"]
