"""The bench runs the install hook with what the chart renders for it."""

import json

from dev import rendered


def test_settings_rights_and_environment_are_those_of_the_install_hook() -> None:
    hook = rendered.install_hook("r", "here", "--set", "hook.timeout=77")
    assert '"timeout":77' in json.dumps(json.loads(hook.settings), separators=(",", ":"))
    assert {"secrets"} <= {resource for rule in hook.rules for resource in rule["resources"]}
    assert hook.environment["RELEASE_NAME"] == "r"
    assert hook.environment["RELEASE_NAMESPACE"] == "here"
    assert hook.environment["POD_NAME"] == "hook"
