"""`flask postman`: a Postman collection of the interface, made from its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from ..shipped import shipped

COLLECTION = shipped("docs/postman_collection.json")
FORMAT = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
VARIABLES = {
    "baseUrl": "http://127.0.0.1:5000",
    "apiKey": "",
    "request_id": "",
    "image_id": "",
    "feed_id": "",
    "name": "image",
    "extension": "jpg",
}

AS_DOCUMENTED = """pm.test("{name} answers as documented", function () {{
    pm.expect(pm.response.code).to.be.oneOf({statuses});
    pm.expect(pm.response.code).to.be.below(500);
}});"""
# The variables that a call sets for later ones.
SCRIPTS = {
    "upload": """if (pm.response.code === 202) {
    pm.collectionVariables.set("request_id", pm.response.json().request_id);
}""",
    "createFeed": """if (pm.response.code === 201) {
    pm.collectionVariables.set("feed_id", pm.response.json().feed_id);
}""",
    "getStatus": """if (["PENDING", "PROCESSING"].includes(pm.response.json().status)) {
    pm.execution.setNextRequest(pm.info.requestName);  // Ask again until the job has ended.
}""",
    "getDetails": """const done = pm.response.json().images.find((image) => image.output_url);
if (done) {
    const [, id, name, extension] = done.output_url.match(
        /\\/image\\/([^./]+)\\/([^?]+)\\.(\\w+)/);
    pm.collectionVariables.set("image_id", id);
    pm.collectionVariables.set("name", name);
    pm.collectionVariables.set("extension", extension);
}""",
}
# An empty variable would make another address of this one, which may mean something else.
SKIPPED_WITHOUT = """if (!pm.variables.get("{variable}")) {{
    pm.execution.skipRequest();
}}"""
# A collection that is run as a whole must not delete jobs of others.
LEFT_OUT = frozenset(("deleteJobs",))
# Sent by default, where other parameters are there to be switched on.
SENT = {"getStatus": {"wait": "10"}}


@click.command("postman")
@click.option("--output", type=click.Path(path_type=Path), default=COLLECTION, show_default=True)
@with_appcontext
def postman(output: Path) -> None:
    """Export the API as a Postman collection."""
    document = current_app.test_client().get("/openapi.json").get_json()
    text = json.dumps(collection_of(document), indent=2, ensure_ascii=False)
    output.write_text(text + "\n", encoding="utf-8")
    click.echo(f"Written: {output}")


def collection_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document as a Postman collection: a folder for each tag, deletion last."""
    folders = [
        {
            "name": tag["name"],
            "description": tag["description"],
            "item": list(_items(document, tag["name"])),
        }
        for tag in document["tags"]
    ]
    folders.sort(key=lambda folder: folder["name"] == "deletion")
    return {
        "info": {
            "name": document["info"]["title"],
            "schema": FORMAT,
            "description": document["info"]["description"],
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{apiKey}}"}]},
        "variable": [{"key": key, "value": value} for key, value in VARIABLES.items()],
        "item": folders,
    }


def _items(document: dict[str, Any], tag: str) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        common = methods.get("parameters", [])
        for method, call in methods.items():
            if (
                method != "parameters"
                and tag in call["tags"]
                and call["operationId"] not in LEFT_OUT
            ):
                parameters = [*common, *call.get("parameters", [])]
                yield _item(document, path, method.upper(), call, parameters)


def _item(
    document: dict[str, Any],
    path: str,
    method: str,
    call: dict[str, Any],
    parameters: list[dict[str, Any]],
) -> dict[str, Any]:
    name = call["operationId"]
    request: dict[str, Any] = {
        "method": method,
        "url": _url(path, name, parameters),
        "header": [
            _entry(parameter, disabled=True)
            for parameter in parameters
            if parameter["in"] == "header"
        ],
        "description": "\n\n".join(filter(None, (call["summary"], call.get("description")))),
    }
    if "requestBody" in call:
        (kind,) = call["requestBody"]["content"]
        mode = "urlencoded" if kind == "application/x-www-form-urlencoded" else "formdata"
        request["body"] = {"mode": mode, mode: _form(document, call["requestBody"])}
    return {
        "name": name,
        "request": request,
        "event": [*_skips(path), _test(name, call["responses"])],
    }


def _skips(path: str) -> Iterator[dict[str, Any]]:
    """Yield the script that skips a request while the id in its address is unknown."""
    for variable in ("request_id", "image_id", "feed_id"):
        if f"{{{variable}}}" in path:
            lines = SKIPPED_WITHOUT.format(variable=variable).splitlines()
            yield {"listen": "prerequest", "script": {"type": "text/javascript", "exec": lines}}


def _url(path: str, name: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    place = path.replace("{", "{{").replace("}", "}}")
    sent = SENT.get(name, {})
    query = [
        _entry(parameter, disabled=parameter["name"] not in sent)
        | ({"value": sent[parameter["name"]]} if parameter["name"] in sent else {})
        for parameter in parameters
        if parameter["in"] == "query"
    ]
    shown = "&".join(f"{key}={value}" for key, value in sent.items())
    return {
        "raw": f"{{{{baseUrl}}}}{place}" + (f"?{shown}" if shown else ""),
        "host": ["{{baseUrl}}"],
        "path": place.strip("/").split("/"),
        "query": query,
    }


def _entry(parameter: dict[str, Any], *, disabled: bool) -> dict[str, Any]:
    schema = parameter["schema"]
    return {
        "key": parameter["name"],
        "value": _text(schema.get("example", schema.get("default"))),
        "description": parameter.get("description", ""),
        "disabled": disabled,
    }


def _form(document: dict[str, Any], body: dict[str, Any]) -> list[dict[str, Any]]:
    (content,) = body["content"].values()
    reference = content["schema"]["$ref"].rpartition("/")[2]
    schema = document["components"]["schemas"][reference]
    # The file may be left out for its address, which nobody but the caller knows.
    return [
        _field(
            name,
            field,
            required=field.get("format") == "binary" or name in schema.get("required", ()),
        )
        for name, field in schema["properties"].items()
    ]


def _field(name: str, field: dict[str, Any], *, required: bool) -> dict[str, Any]:
    about = {"key": name, "description": field.get("description", ""), "disabled": not required}
    if field.get("format") == "binary":
        return about | {"type": "file", "src": "products.csv"}
    return about | {"type": "text", "value": _text(field.get("example", field.get("default")))}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _test(name: str, responses: dict[str, Any]) -> dict[str, Any]:
    statuses = sorted(int(status) for status in responses)
    script = AS_DOCUMENTED.format(name=name, statuses=statuses)
    lines = "\n".join(filter(None, (script, SCRIPTS.get(name)))).splitlines()
    return {"listen": "test", "script": {"type": "text/javascript", "exec": lines}}
