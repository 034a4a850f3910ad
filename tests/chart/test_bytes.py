"""Properties: credentials arrive byte for byte, and both helms judge and render whatever comes alike."""

import base64
from typing import Any

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from tests.chart import helm

fixed = settings(max_examples=8, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
"""Without shrinking, which takes minutes where each try is two runs of helm."""

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60)
awkward = st.text("\"'\\$(){}:# \n\t%&*!|>~-\u0085\u2028\ufeff01eE.truefalsnyo=`", min_size=1, max_size=40)
credential = text | awkward


@fixed
@given(username=credential, value=credential, kind=st.sampled_from(["password", "token"]))
@example("true", "12345", "password")
@example("a:b", " $(HOSTNAME) $$ {{ .Values }} \\ \" ' \r\n", "password")
@example("$", "\u0085\u2028\ufeff🔑", "token")
@example("\x7f\u0085", "\x01", "password")
def test_a_credential_and_its_user_name_arrive_byte_for_byte(username: str, value: str, kind: str) -> None:
    block = {"auth": {"type": kind, "username": username, kind: value}}
    name = helm.HELMS[len(value) % 2]  # either, without a run for each
    manifests = helm.render({"global": {"external-arg-cd": block}}, helm=name)
    for secret, keys in ((f"gitops-runtime-argo-cd-{kind}", {kind, "token"}), ("r-auth-credential", {kind})):
        data = helm.one(manifests, "Secret", secret)["data"]
        assert {key: base64.b64decode(data[key]) for key in data} == dict.fromkeys(keys, value.encode())
    if kind == "password":
        for workload, name in (("Deployment", "r-app-proxy"), ("Pod", "r-auth-verify")):
            assert helm.environment(helm.one(manifests, workload, name))["ARGO_CD_USERNAME"] == username
        document = helm.settings(manifests)
        assert document["values"]["global"]["external-arg-cd"]["auth"]["username"] == username


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
        "caConfigMapKeyRef": ref,
        "headersSecretRef": ref,
    },
)
block = st.fixed_dictionaries({}, optional={"auth": auth, "server": server})
third = block.map(
    lambda b: {"argo-cd": {"server": {**(b.get("server") or {}), **({"auth": b["auth"]} if "auth" in b else {})}}}
)
document = st.fixed_dictionaries(
    {}, optional={"external-arg-cd": block, "external-argo-cd": block, "integrations": third | st.none()}
)


def _assert_judged_alike(user: dict[str, Any]) -> None:
    three, four = (helm.template(user, helm=name) for name in helm.HELMS)
    assert three.code == four.code, three.err + four.err
    if three.code:
        assert three.out == four.out == ""
        assert three.refusals(), three.err  # in our words: no template broke
        assert len(three.refusals()) == len(four.refusals())
    else:
        helm.validate(three.manifests())


@settings(fixed, max_examples=20)
@given(document=document)
def test_what_is_accepted_renders_to_valid_manifests_and_what_is_refused_never_renders(
    document: dict[str, Any],
) -> None:
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
        "startTimeout": scalar,
        "outputLogPolicy": st.sampled_from(["auto", "Always", None]),
        "cleanup.enabled": scalar,
        "labels": labels,
        "annotations": annotations,
        "logLevel": st.sampled_from(["debug", "DEBUG", "", None]),
        "priorityClassName": scalar,
        "serviceAccount.annotations": annotations,
    },
    "keeper": {
        "interval": scalar,
        "maxAge": st.sampled_from(["", "30d", "0h", "30", "1h\n", None, 30]),
        "restartConsumers": scalar,
        "consumers": _list("a", "statefulset/a.b", "pod/a", "a/b/c", 1),
    },
    "keySecret": {
        "name": st.sampled_from(["a", "a.b", "", "A", "a\n", None, 1]),
        "data": _map("token", "a.b", "a/b", "\n", values=("token", "url", "password", None, 1)),
        "labels": labels,
        "annotations": annotations,
        "formerNames": _list("a", "", "B", 1),
    },
    "runtimeDefaults": service,
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
        *path, last = [section, *name.split(".")]
        node = user
        for key in path:
            node = node.setdefault(key, {})
        node[last] = draw(sections[section][name])
    return user


@settings(fixed, max_examples=25)
@given(user=rest(), enabled=st.booleans())
def test_the_other_keys_are_judged_alike_too(user: dict[str, Any], enabled: bool) -> None:
    # With every optional object on, what is accepted is also rendered.
    on: dict[str, dict[str, Any]] = {
        "metrics": {name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")},
        "networkPolicy": {"enabled": True},
    }
    for section, values in (on if enabled else {}).items():
        for name, value in values.items():
            place = user.setdefault(section, {})
            place[name] = {**value, **(place.get(name) or {})} if isinstance(value, dict) else value
    _assert_judged_alike(user)
