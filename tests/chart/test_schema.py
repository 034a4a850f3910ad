"""The schema itself: draft-07, closed, in step with values.yaml, short."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import yaml

from tests.chart import helm

TEXT = (helm.CHART / "values.schema.json").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads(TEXT)
VALUES_TEXT = (helm.CHART / "values.yaml").read_text(encoding="utf-8")
VALUES: dict[str, Any] = yaml.safe_load(VALUES_TEXT)
DRAFT_07 = {
    *("$schema", "$comment", "$ref", "title", "description", "type", "properties", "patternProperties", "required"),
    *("additionalProperties", "items", "enum", "const", "if", "then", "else", "not", "allOf", "anyOf", "definitions"),
    *("pattern", "minLength", "maxLength", "minimum", "maximum", "maxItems"),
}
OPTIONAL_POD_KEYS = {"priorityClassName", "runtimeClassName", "dnsConfig", "hostAliases"}
"""Named in comments of values.yaml, because hardly anybody needs them."""


def _schemas(node: Any, path: str = "#") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in the file, with its path."""
    if not isinstance(node, dict):
        return
    yield path, node
    for word in ("properties", "patternProperties", "definitions"):
        for name, child in node.get(word, {}).items():
            yield from _schemas(child, f"{path}/{word}/{name}")
    for word in ("additionalProperties", "items", "if", "then", "else", "not"):
        yield from _schemas(node.get(word), f"{path}/{word}")
    for word in ("allOf", "anyOf"):
        for number, child in enumerate(node.get(word, [])):
            yield from _schemas(child, f"{path}/{word}/{number}")


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and the idiom ``if: ..., then or else: {$ref}``, to the schema that declares the keys."""
    while "properties" not in schema:
        refs = [schema, schema.get("else", {}), schema.get("then", {}), schema.get("else", {}).get("else", {})]
        found = next((s["$ref"] for s in refs if "$ref" in s), None)
        if found is None:
            return schema
        schema = SCHEMA["definitions"][found.rpartition("/")[2]]
    return schema


def test_it_is_a_draft_07_schema_of_keywords_that_helm_3_and_4_know() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    for path, schema in _schemas(SCHEMA):
        assert set(schema) <= DRAFT_07, path
        # Draft-07 ignores whatever stands beside a $ref.
        assert "$ref" not in schema or len(schema) == 1, path


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    names = {schema["$ref"].removeprefix("#/definitions/") for _, schema in _schemas(SCHEMA) if "$ref" in schema}
    assert names | {"settings"} == set(SCHEMA["definitions"])


def test_no_key_is_written_twice() -> None:
    # JSON readers silently take the last one.
    def closed(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        assert len(found) == len(pairs), [name for name, _ in pairs]
        return found

    json.loads(TEXT, object_pairs_hook=closed)


def test_patterns_mean_the_same_to_go_and_to_python() -> None:
    patterns = [s["pattern"] for _, s in _schemas(SCHEMA) if "pattern" in s]
    patterns += [p for _, s in _schemas(SCHEMA) for p in s.get("patternProperties", {})]
    assert len(patterns) > 15
    for pattern in patterns:
        # Classes of letters, digits and blanks are ASCII in Go, Unicode in Python.
        assert not re.search(r"\\[swdbSWDB]|\(\?", pattern), pattern


def test_the_sentences_that_list_keys_list_those_that_exist() -> None:
    seen = 0
    tolerated = {"redis", "repoServer", "image", "protocol"}
    for path, schema in _schemas(SCHEMA):
        sentence = (schema.get("additionalProperties") or {}) if "properties" in schema else {}
        if isinstance(sentence, dict) and str(sentence.get("const", "")).startswith("under one of the keys "):
            elsewhere = {"auth"} if path.endswith("/server") else set()
            keys = [key for key in schema["properties"] if key not in tolerated | elsewhere]
            assert sentence["const"] == f"under one of the keys {', '.join(keys)}", path
            seen += 1
    assert seen == 3


def test_every_object_of_ours_is_closed() -> None:
    conditions = re.compile(r"/(if|then|else|not|anyOf|allOf)(/|$)")
    laid_over = {"byToken", "byPassword", "given", "runsOurs", "ownImage"}
    for path, schema in _schemas(SCHEMA):
        raw = conditions.search(path) or any(f"/{name}" in path for name in laid_over)
        open_ones = ("#/properties/global", "/deployment", "/extraVolumes/items", "/extraVolumeMounts/items")
        if "properties" in schema and not raw and not path.startswith(open_ones[0]) and not path.endswith(open_ones):
            assert "additionalProperties" in schema, path


VENDORS = {
    *("anchors", "argo-cd", "argo-events", "argo-gateway", "argo-rollouts", "argo-workflows", "cf-argocd-extras"),
    *("codefreshWorkflowLogStoreCM", "event-reporters", "garage-workflows-artifact-storage", "installer"),
    *("internal-router", "redis", "redis-ha", "redis-secret-init", "sealed-secrets", "tunnel-client"),
}
"""Sections of the values of the Runtime's own chart, from 0.24 to 0.29."""


def test_notes_name_each_section_that_the_schema_leaves_to_the_runtimes_own_chart() -> None:
    notes = (helm.CHART / "templates" / "NOTES.txt").read_text(encoding="utf-8")
    found = next(set(re.findall('"([^"]+)"', line)) for line in notes.splitlines() if '"argo-cd"' in line)
    assert found == {name for name, schema in SCHEMA["properties"].items() if not set(schema) - {"description"}}
    assert found == VENDORS


def test_values_have_every_key_and_no_other() -> None:
    tolerated = {"enabled", "config", "image-enrichment", "env", *VENDORS}

    def compare(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        known = _resolved(schema).get("properties", {})
        assert set(values) <= set(known), path
        assert set(known) - set(values) <= tolerated | OPTIONAL_POD_KEYS, path
        for name, value in values.items():
            if isinstance(value, dict) and value and name not in ("global", "resources", "data", "labels"):
                compare(value, known[name], f"{path}.{name}")

    compare(VALUES, SCHEMA, "values")


def test_the_comments_of_values_yaml_have_the_blocks_defaults() -> None:
    comment = re.search(r"#   external-arg-cd:\n(?:#     .*\n)+", VALUES_TEXT)
    assert comment
    shown = yaml.safe_load(re.sub(r"(?m)^#   ", "", comment[0]))["external-arg-cd"]
    text = (helm.CHART / "templates/_connection.tpl").read_text(encoding="utf-8")
    found = re.search(r'define "gitops-runtime-auth.defaults" -}}\n(.*?){{- end', text, re.DOTALL)
    assert found
    assert yaml.safe_load(found[1]) == shown


def test_both_files_stay_short() -> None:
    assert len(VALUES_TEXT.splitlines()) < 180
    assert len(TEXT.splitlines()) <= 333
