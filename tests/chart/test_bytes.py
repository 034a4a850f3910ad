"""Properties: values arrive byte for byte, and what one reader refuses no reader renders."""

import base64
import json
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hook import settings as hook_settings
from hook import values as hook_values
from hook.errors import ConfigurationError
from tests.chart import helm

fixed = settings(max_examples=25, deadline=None, derandomize=True)

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
awkward = st.text("\"'\\$(){}:# \n\t%&*!|>~-\u0085\u2028\ufeff01eE.truefalsnyo=`", min_size=1, max_size=40)
credential = text | awkward


@fixed
@given(username=credential, password=credential, helm_name=st.sampled_from(helm.HELMS))
@example("true", "12345", "helm")
@example("a:b", " $(HOSTNAME) $$ {{ .Values }} \\ \" ' \r\n", "helm4")
@example("$", "\u0085\u2028\ufeff🔑" * 500, "helm")
@example("123", "x" * 4096, "helm4")
@example("\x7f\u0085", "\x01", "helm")
def test_a_password_and_its_user_name_arrive_byte_for_byte(username: str, password: str, helm_name: str) -> None:
    block = {"auth": {"type": "password", "username": username, "password": password}}
    manifests = helm.render({"global": {"external-arg-cd": block}}, helm=helm_name)
    for name in ("gitops-runtime-argo-cd-password", "r-auth-credential"):
        data = helm.one(manifests, "Secret", name)["data"]
        assert base64.b64decode(data["password"]) == password.encode()
    for kind, name in (("Deployment", "r-app-proxy"), ("Pod", "r-auth-verify")):
        assert helm.environment(helm.one(manifests, kind, name))["ARGO_CD_USERNAME"] == username
    for name in ("r-auth-ensure", "r-auth-retire", "r-auth-cleanup", "r-app-proxy"):
        found = json.loads(helm.one(manifests, "ConfigMap", name)["data"]["settings.json"])
        assert hook_settings.load_values(found).auth.username == username


@fixed
@given(token=credential, helm_name=st.sampled_from(helm.HELMS))
def test_a_token_arrives_byte_for_byte(token: str, helm_name: str) -> None:
    block = {"auth": {"type": "token", "token": token}}
    manifests = helm.render({"global": {"external-arg-cd": block}}, helm=helm_name)
    for name in ("gitops-runtime-argo-cd-token", "r-auth-credential"):
        data = helm.one(manifests, "Secret", name)["data"]
        assert base64.b64decode(data["token"]) == token.encode()


ref = st.none() | st.dictionaries(
    st.sampled_from(["name", "key", "nam"]), st.sampled_from(["", "a", "a.b", "A_b", "a\n", None, 1])
)
word = st.sampled_from([None, "", "a", "true", 1, True, 0.5]) | awkward
auth = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["password", "token"]) | word,
        "username": word,
        "password": word,
        "token": word,
        "passwordSecretKeyRef": ref,
        "tokenSecretKeyRef": ref,
        "pasword": word,
    },
)
server = st.fixed_dictionaries(
    {},
    optional={
        "svc": st.sampled_from(["argocd", "argocd.x", "", None, "A", "a..b", "-a", "a\n", 1]),
        "port": st.sampled_from([1, 443, 65535, 65536, 0, -1, None, "80", 80.0, 80.5, True]),
        "rootpath": st.sampled_from(["", "/", "a", "/a/", "/a//b", "a b", "/a\n", None, 1]),
        "url": st.sampled_from(["", None, "http://a", "https://a:0", "https://u@a", "https://a/b?c", "https://a.", 1]),
        "insecureSkipVerify": st.sampled_from([True, False, None, "true", 1]),
        "caSecretKeyRef": ref,
    },
)
block = st.fixed_dictionaries({}, optional={"auth": auth, "server": server})
document = st.fixed_dictionaries({}, optional={"external-arg-cd": block, "external-argo-cd": block})


def _hook_accepts(document: dict[str, Any]) -> bool:
    user = {"global": document}
    try:
        hook_settings.load_values(hook_values.merge(hook_values.chart_defaults(), user, keep_nulls=True))
    except ConfigurationError:
        return False
    return True


@settings(fixed, max_examples=50)
@given(document=document)
def test_accepted_renders_to_valid_manifests_and_refused_never_renders(document: dict[str, Any]) -> None:
    accepted = _hook_accepts(document)
    three, four = (helm.template({"global": document}, helm=name) for name in helm.HELMS)
    for run in (three, four):
        assert (run.code == 0) == accepted, run.err
        assert accepted or (run.out == "" and run.refusals())
    if accepted:
        for manifest in three.manifests():
            kubernetes_validate.validate(manifest, "1.37", strict=True)
