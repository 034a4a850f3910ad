"""What a Kubernetes API server does to objects: the verbs, over a ``Store``."""

import json

from tests.fakes import kubestatus as status
from tests.fakes.kubeobjects import Object, Store, Target, changed, merge, new, now
from tests.fakes.kubewatches import listed
from tests.fakes.web import Answer, Request, as_json


def carry_out(store: Store, request: Request, at: Target, query: dict[str, str]) -> Answer:
    """Carry out a request that is no watch; the caller holds the store. Raises RefusedError."""
    if request.method == "GET" and not at.name:
        return as_json(200, listed(store, at, query))
    if request.method == "POST":
        if at.name:
            raise status.not_allowed()
        return as_json(201, _create(store, at, _body(request, at)))
    old = store.objects.get(at.path)
    if old is None or at.subresource:
        raise status.not_found(at.resource, at.name, at.group)
    match request.method:
        case "GET":
            return as_json(200, old)
        case "PUT":
            return as_json(200, _replace(store, at, _body(request, at), old))
        case "PATCH":
            if request.headers.get("Content-Type") != "application/merge-patch+json":
                raise status.unsupported_media_type()
            return as_json(200, _replace(store, at, merge(old, _body(request, at)), old))
        case _:
            return as_json(200, _delete(store, at, _body(request, at), old))


def _create(store: Store, at: Target, body: Object) -> Object:
    if at.namespace:
        owner = store.objects.get(f"/api/v1/namespaces/{at.namespace}")
        if owner is None:
            raise status.not_found("namespaces", at.namespace)
        if owner["metadata"].get("deletionTimestamp"):
            name = str((body.get("metadata") or {}).get("name", ""))
            raise status.terminating(at.resource, name, at.namespace, at.group)
    made = new(body, at)
    path = f"{at.path}/{made['metadata']['name']}"
    if path in store.objects:
        raise status.already_exists(at.resource, made["metadata"]["name"], at.group)
    return store.store(path, made)


def _replace(store: Store, at: Target, body: Object, old: Object) -> Object:
    given = body.get("metadata") or {}
    if given.get("name") != at.name:
        raise status.bad_request(
            f"the name of the object ({given.get('name', '')}) does not match the name on the URL ({at.name})"
        )
    if given.get("resourceVersion", "") not in ("", old["metadata"]["resourceVersion"]):
        raise status.conflict(at.resource, at.name, status.CHANGED, at.group)
    return store.store(at.path, changed(body, old, at))


def _delete(store: Store, at: Target, options: Object, old: Object) -> Object:
    wanted = (options.get("preconditions") or {}).get("resourceVersion", "")
    present = old["metadata"]["resourceVersion"]
    if wanted not in ("", present):
        why = f"the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record"
        # Of the kind, not of the resource: the message comes from the storage below.
        raise status.conflict(at.kind, at.name, f"{why} ({present}). The object might have been modified", at.group)
    if at.resource == "namespaces":
        going = {**old, "metadata": {"deletionTimestamp": now(), **old["metadata"]}, "status": {"phase": "Terminating"}}
        return store.store(at.path, going)
    gone = store.remove(at.path)
    if at.resource == "pods":
        return gone
    details = {"name": at.name, "kind": at.resource, "uid": gone["metadata"]["uid"]}
    details |= {"group": at.group} if at.group else {}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _body(request: Request, at: Target) -> Object:
    try:
        found = json.loads(request.body or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise status.bad_request(f"the object provided is unrecognized (must be of type {at.kind})")
    return found
