"""Whatever takes an API key from a Secret: Secrets in the shapes that programs read, taken over, moved, given up."""

from pathlib import Path

from dev.cluster import decoded, path_of
from dev.keys import StoredKey, stored, understood
from dev.runtime import CHART, Runtime, runtime, within
from tests.docs.blocks import ALL
from tests.e2e.counts import STAND_IN, VENDORS_CONSUMERS, Counts

UPDATERS, WATCHERS = "argocd-image-updater-secret", "argo-watcher-argocd"


def page(name: str, folder: Path) -> str:
    """Write a values file of docs/consumers.md and return its path."""
    [block] = [b for b in ALL if b.page == "docs/consumers.md" and b.options.get("file") == name]
    (folder / name).write_text(block.text, encoding="utf-8")
    return str(folder / name)


def test_two_releases_in_one_namespace_have_secrets_of_their_own_and_go_alone(tmp_path: Path) -> None:
    with runtime("e2e-shapes") as place:
        second = f"{place.name}-2"
        place.account(second)
        # As image-updater's manifests make it.
        place.cluster.create(path_of(place.name, "secrets"), {"metadata": {"name": UPDATERS}})
        values = page("image-updater.yaml", tmp_path)
        place.helm("install", "updater", CHART, "--wait", "-f", values, *place.sets())
        values = page("argo-watcher.yaml", tmp_path)
        place.helm("install", "watcher", CHART, "--wait", "-f", values, *place.sets(second), program="helm4")
        data = decoded(place.cluster, place.name, UPDATERS)
        assert set(data) == {"argocd.token", "token", "state"}
        updaters = understood(data["argocd.token"])
        data = decoded(place.cluster, place.name, WATCHERS)
        assert (set(data), data["ARGO_URL"]) == (
            {"ARGO_TOKEN", "ARGO_URL", "token", "state"},
            "https://argocd-server.argocd",
        )
        watchers = understood(data["ARGO_TOKEN"])
        assert (updaters.account, watchers.account) == (place.name, second)

        counts = Counts(place, place.name)
        token = {"name": "ARGOCD_TOKEN", "valueFrom": {"secretKeyRef": {"name": UPDATERS, "key": "argocd.token"}}}
        counts.run("argocd-image-updater", {"name": "ARGOCD_SERVER", "value": "argocd-server.argocd"}, token)
        counts.run("argo-watcher", envFrom=[{"secretRef": {"name": WATCHERS}}])
        within(30, lambda: counts.in_use() == {("argocd-image-updater", updaters.id), ("argo-watcher", watchers.id)})
        for release, consumer in (("updater", "argocd-image-updater"), ("watcher", "argo-watcher")):
            assert f"deployment/{consumer}" in place.helm("test", release)

        gone(place, "argocd-image-updater", counts)
        place.helm("uninstall", "updater")
        assert (place.keys(), decoded(place.cluster, place.name, UPDATERS)) == ([], {})
        place.cluster.delete(path_of(place.name, "secrets", WATCHERS))
        within(30, lambda: bool(decoded(place.cluster, place.name, WATCHERS)), "the other one's keeper")
        renewed = understood(decoded(place.cluster, place.name, WATCHERS)["ARGO_TOKEN"])
        within(60, lambda: counts.in_use() == {("argo-watcher", renewed.id)})
        assert renewed.id != watchers.id

        gone(place, "argo-watcher", counts)
        place.helm("uninstall", "watcher", program="helm4")
        assert (place.keys(second), decoded(place.cluster, place.name, WATCHERS)) == ([], {})
        assert min(counts.uses().values()) > 20
        assert counts.refusals() == 0


def gone(place: Runtime, deployment: str, counts: Counts) -> None:
    """Take a consumer away, and wait until its last pod has ended."""
    place.cluster.delete(f"/apis/apps/v1/namespaces/{place.name}/deployments/{deployment}")
    within(60, lambda: deployment not in {name for name, _ in counts.in_use()})


def test_a_secret_that_somebody_else_made_is_taken_over_and_gets_another_name() -> None:
    """The vendor's app-proxy leaves such a Secret, and its programs go on reading it under that name."""
    with runtime("e2e-takeover") as place:
        counts = Counts(place, place.name)
        place.secret("argocd-token", token=place.key_by_hand("theirs"))
        vendors(place, counts, "argocd-token")
        within(30, lambda: used(counts) == {"theirs"})
        consumers = f"{{{','.join(VENDORS_CONSUMERS)}}}"
        place.install(*place.hook_alone(keySecret__adopt="true", keeper__consumers=consumers))
        first = key(place, "argocd-token")
        within(60, lambda: used(counts) == {first.id})
        [told] = [message for reason, message in place.events() if reason == "SecretTakenOver"]
        assert told.endswith("argocd account delete-token --account NAME theirs")
        assert set(place.keys()) == {"theirs", first.id}, "nobody but its owner revokes it"
        place.argocd.delete_key(place.name, "theirs", place.session)

        names = {"keySecret__name": "argocd-runtime-key", "keySecret__formerNames": "{argocd-token}"}
        place.install(*place.hook_alone(keeper__consumers=consumers, **names))
        assert key(place, "argocd-runtime-key").token == first.token
        assert decoded(place.cluster, place.name, "argocd-token") == {}
        vendors(place, counts, "argocd-runtime-key")
        place.cluster.delete(path_of(place.name, "secrets", "argocd-runtime-key"))
        within(30, lambda: bool(decoded(place.cluster, place.name, "argocd-runtime-key")))
        second = key(place, "argocd-runtime-key")
        within(60, lambda: used(counts) == {second.id})
        within(60, lambda: place.keys() == [second.id])

        place.helm("uninstall", "vendor", "--wait", "--cascade", "foreground")
        place.helm("uninstall", "r")
        assert place.keys() == []
        uses = counts.uses()
        assert set(uses) == set(VENDORS_CONSUMERS)
        assert min(uses.values()) > 100
        assert counts.refusals() == 0


def vendors(place: Runtime, counts: Counts, secret: str) -> None:
    """Install the vendor's chart, or upgrade it, with the key of a Secret."""
    server = "global.integrations.argo-cd.server"
    reference = f"{server}.auth.tokenSecretKeyRef"
    given = {f"{server}.svc": "argocd-server.argocd", f"{server}.port": "443"}
    given |= {f"{reference}.name": secret, f"{reference}.key": "token"}
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    place.helm("upgrade", "--install", "vendor", str(STAND_IN), "--wait", *sets, *counts.sets())


def used(counts: Counts) -> set[str]:
    """Return the keys that the vendor's pods use, once they all run."""
    found = counts.in_use()
    return {key for _, key in found} if {name for name, _ in found} == set(VENDORS_CONSUMERS) else set()


def key(place: Runtime, secret: str) -> StoredKey:
    """Return the key in a Secret, which must be there."""
    found = stored(place.cluster, place.name, secret)
    assert found is not None
    return found
