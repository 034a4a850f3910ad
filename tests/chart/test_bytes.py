"""Properties: values arrive byte for byte, and what one reader refuses no reader renders."""

import base64
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gitops_runtime_auth.config import settings as hook_settings
from gitops_runtime_auth.config import values as hook_values
from gitops_runtime_auth.errors import ConfigurationError
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


def _hook_accepts(user: dict[str, Any]) -> bool:
    try:
        hook_settings.load_values(hook_values.merge(hook_values.chart_defaults(), user, keep_nulls=True))
    except ConfigurationError:
        return False
    return True


def _assert_judged_alike(user: dict[str, Any]) -> None:
    accepted = _hook_accepts(user)
    three, four = (helm.template(user, helm=name) for name in helm.HELMS)
    for run in (three, four):
        assert (run.code == 0) == accepted, run.err
        assert accepted or (run.out == "" and run.refusals())
    if accepted:
        helm.validate(three.manifests())


@settings(fixed, max_examples=50)
@given(document=document)
def test_accepted_renders_to_valid_manifests_and_refused_never_renders(document: dict[str, Any]) -> None:
    _assert_judged_alike({"global": document})


def _list(*items: Any) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.sampled_from(items), max_size=2, unique_by=str)


def _map(*keys: str, values: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.none() | st.dictionaries(st.sampled_from(keys), st.sampled_from(values), max_size=2)


scalar = st.sampled_from([None, "", "a", "A_b", "a..b", "a\n", "\u00a0", "true", "1e3", 0, -1, 1, 0.5, True, False])
texts = ("a", "", "a b", "1", "a\n", 1, True, None)
labels = _map("team", "example.com/a", "a b", "a\n", "app.kubernetes.io/name", "helm.sh/chart", values=texts)
annotations = _map("team", "helm.sh/hook", "checksum/settings", "checksum/a", "argocd.argoproj.io/hook", values=texts)
quantities = _map("cpu", "memory", values=("100m", "1Gi", "0.5", 0, 1.5, -1, "-1", "1 Gi", "a", None, True))
pod: dict[str, st.SearchStrategy[Any]] = {
    "resources": st.none() | st.fixed_dictionaries({}, optional={"limits": quantities, "requests": quantities}),
    "nodeSelector": _map("kubernetes.io/os", values=texts),
    "tolerations": _list({"operator": "Exists"}, {"key": "a", "value": True}, {"effect": "No"}, {"keys": "a"}),
    "affinity": _map("nodeAffinity", "podAffinity", "nodeAfinity", values=({}, None, "a")),
    "podLabels": labels,
    "podAnnotations": annotations,
}
image: dict[str, st.SearchStrategy[Any]] = {
    "repository": st.sampled_from(["", "a", "example.com:5000/a/b", "a:v1", "A", "a\n", None, 1]),
    "tag": scalar,
    "digest": st.sampled_from(["", "sha256:" + "0" * 64, "sha256:0", None, 1]),
    "pullPolicy": st.sampled_from(["", "Always", "always", None]),
}
source = {"fieldRef": {"fieldPath": "metadata.name"}}
service = {
    **pod,
    **{f"image.{name}": strategy for name, strategy in image.items()},
    "enabled": scalar,
    "command": _list("a", "", "{{ . }}", 1, None),
    "args": _list("a", "- b: #", True),
    "replicas": scalar,
    "serviceAccountName": scalar,
    "extraEnv": _list(
        {"name": "A", "value": "$(B) $$"},
        {"name": "POD_NAME", "valueFrom": source},
        {"name": "HTTPS_PROXY", "value": ""},
        {"name": "ARGO_CD_TOKEN", "value": "a"},
        {"name": "A=B", "value": "a"},
        {"name": "A", "value": "a", "valueFrom": source},
        {"name": "A", "value": 1},
    ),
    "extraVolumes": _list({"name": "data", "emptyDir": {}}, {"name": "A_b", "emptyDir": {}}, {"name": "tmp"}),
    "extraVolumeMounts": _list({"name": "data", "mountPath": "/d"}, {"name": "data", "mountPath": "/tmp"}, {"name": 1}),
}
sections: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "app-proxy": service,
    "event-reporter": service,
    "image": image,
    "hook": {
        **pod,
        "timeout": st.sampled_from([10, 9, 86400, "60", 10.0, 10.5, None]),
        "enableApiKey": scalar,
        "argocdNamespace": scalar,
        "logLevel": st.sampled_from(["debug", "DEBUG", "", None]),
        "priorityClassName": scalar,
        "serviceAccount.annotations": annotations,
    },
    "keeper": {
        "interval": scalar,
        "maxAge": st.sampled_from(["", "30d", "0h", "30", "1h\n", None, 30]),
        "restartConsumers": scalar,
    },
    "proxy": {
        "httpProxy": st.sampled_from(
            ["", "http://a:1", "http://u:p$@[::1]:1/", "a", "http://a b", "http://a\u00a0b", 1]
        ),
        "noProxy": scalar | awkward,
    },
    "metrics": {
        "serviceMonitor.enabled": scalar,
        "serviceMonitor.interval": st.sampled_from(["", "30s", "1h30m", "30", "30s\n", 30, None]),
        "prometheusRule.enabled": scalar,
        "dashboard.enabled": scalar,
        "dashboard.labels": labels,
    },
}


@st.composite
def rest(draw: st.DrawFn) -> dict[str, Any]:
    """Draw one or two keys outside ``global``: with more, hardly anything would be accepted."""
    places = [(section, name) for section, strategies in sections.items() for name in strategies]
    user: dict[str, Any] = {}
    for section, name in draw(st.lists(st.sampled_from(places), min_size=1, max_size=2, unique=True)):
        path, value = [section, *name.split(".")], draw(sections[section][name])
        while path:
            value = {path.pop(): value}
        user = hook_values.merge(user, value, keep_nulls=True)
    return user


@settings(fixed, max_examples=50)
@given(user=rest(), enabled=st.booleans())
def test_the_other_keys_are_judged_alike_too(user: dict[str, Any], enabled: bool) -> None:
    # With every optional object on, what is accepted is also rendered.
    on = {"metrics": {name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")}}
    _assert_judged_alike(hook_values.merge(on, user, keep_nulls=True) if enabled else user)
