"""The steps of the demo: from an empty directory to verified deliveries, and what must be refused on the way."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from fastness.tool.demo.http import Answer, request
from fastness.tool.demo.receiver import Receiver, UntrustedError, verify
from fastness.tool.demo.service import DemoService
from fastness.tool.demo.story import MismatchError, Step, expect
from fastness.tool.dev.banner import guarded_call

_EVENTS = 3
_PROBLEM = "application/problem+json"


class Journey:
    """What the steps share: a service, a receiver, and what earlier steps have learned."""

    def __init__(self, service: DemoService, receiver: Receiver) -> None:
        self._service = service
        self._receiver = receiver
        self._token = ""
        self._sent: dict[str, dict[str, Any]] = {}

    def steps(self) -> list[Step]:
        """All steps, in order."""
        return [
            Step("generate", "fastness new: a service from the template", 120, self._generate),
            Step("migrate", "alembic upgrade head: the schema, on SQLite", 120, self._migrate),
            Step("serve", "fastness dev: migrates, serves and delivers", 120, self._serve),
            Step("ready", "GET /readyz: every resource is ready", 60, self._ready),
            Step("unauthenticated", "GET /v1/endpoints without a token: refused", 60, self._unauthenticated),
            Step("token", "fastness token: a development token", 60, self._issue),
            Step("invalid", "POST /v1/events with a wrong body: refused, and not echoed", 60, self._invalid),
            Step("missing", "GET /v1/events/{id} that does not exist: a problem", 60, self._missing),
            Step("subscribe", "POST /v1/endpoints: the receiver subscribes to order.*", 60, self._subscribe),
            Step("send", f"POST /v1/events: {_EVENTS} events", 60, self._send),
            Step("receive", "The receiver verifies every delivery (Standard Webhooks)", 120, self._receive),
            Step("tampered", "Changed, stale and unsigned deliveries do not verify", 60, self._tampered),
            Step("deliveries", "GET /v1/deliveries: all succeeded", 60, self._deliveries),
            Step("metrics", "GET /metrics: the requests and the events are counted", 60, self._metrics),
        ]

    def stop(self) -> Step:
        """The last step, once nobody wants to look any more."""
        return Step("stop", "SIGTERM: everything ends in order", 60, self._stop)

    def curl(self) -> str:
        """A call that a reader can paste."""
        return f"curl -i -H 'Authorization: Bearer {self._token}' {self._service.url}/v1/deliveries"

    def _generate(self) -> str:
        directory = self._service.directory
        self._service.run("fastness.tool", "new", "relay", "--directory", str(directory), cwd=directory.parent)
        files = sum(path.is_file() and ".git" not in path.parts for path in directory.rglob("*"))
        expect((directory / "app/main.py").is_file(), "there is no app/main.py")
        return f"{files} files in {directory}"

    def _migrate(self) -> str:
        self._service.run("alembic", "upgrade", "head")
        current = self._service.run("alembic", "current").strip()
        expect(current.endswith("(head)"), f"the schema is at {current or 'nothing'}")
        return f"revision {current}"

    def _serve(self) -> str:
        self._service.start()
        return f"{self._service.url}, documentation at {self._service.url}/docs"

    def _ready(self) -> str:
        answer = self._call("GET", "/readyz", token=False)
        expect(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
        return " ".join(answer.body.decode().split())[:200]

    def _unauthenticated(self) -> str:
        answer = self._call("GET", "/v1/endpoints", token=False)
        expect("www-authenticate" in answer.headers, "there is no WWW-Authenticate header")
        return _problem(answer, 401)

    def _issue(self) -> str:
        call = guarded_call(self._call("GET", "/openapi.json", token=False).json())
        expect(call, "OpenAPI documents no guarded call")
        scopes = call[1] if call else []
        arguments = [argument for scope in scopes for argument in ("--scope", scope)]
        self._token = self._service.run("fastness.tool", "token", "--subject", "demo", *arguments).strip()
        answer = self._call("GET", "/v1/endpoints")
        expect(answer.status == 200, f"the token is refused with {answer.status}")
        return f"for {', '.join(scopes)}"

    def _invalid(self) -> str:
        answer = self._call("POST", "/v1/events", {"type": "not a type", "payload": {}, "password": "do-not-echo"})
        expect(b"do-not-echo" not in answer.body, "the answer repeats what was sent")
        return _problem(answer, 422)

    def _missing(self) -> str:
        return _problem(self._call("GET", f"/v1/events/evt_{'0' * 32}"), 404)

    def _subscribe(self) -> str:
        answer = self._call("POST", "/v1/endpoints", {"url": self._receiver.url, "event_types": ["order.*"]})
        expect(answer.status == 201, f"status {answer.status}: {answer.body[:300]!r}")
        self._receiver.secret = answer.json()["secret"]
        return f"{answer.json()['id']} at {self._receiver.url}; its secret is shown this once"

    def _send(self) -> str:
        for number in range(1, _EVENTS + 1):
            payload = {"order": number, "total": f"{number * 19.99:.2f}", "currency": "EUR"}
            answer = self._call("POST", "/v1/events", {"type": "order.paid", "payload": payload})
            expect(answer.status == 201, f"status {answer.status}: {answer.body[:300]!r}")
            self._sent[answer.json()["id"]] = payload
        return "\n".join(f"{event} {json.dumps(payload)}" for event, payload in self._sent.items())

    def _receive(self) -> str:
        def complete(deliveries: list[Any]) -> bool:
            return len({delivery.headers["webhook-id"] for delivery in deliveries}) >= _EVENTS

        arrived = self._receiver.wait_for(complete, seconds=110)
        got = {delivery.headers["webhook-id"]: delivery for delivery in self._receiver.deliveries}
        expect(arrived, f"{len(got)} of {_EVENTS} arrived, {self._receiver.refused} did not verify")
        expect(not self._receiver.refused, f"{self._receiver.refused} deliveries did not verify")
        for event, payload in self._sent.items():
            content = got[event].content if event in got else None
            expect(content and content["data"] == payload, f"event {event} arrived as {content}")
        return "\n".join(f"{message} verified: {delivery.body.decode()}" for message, delivery in got.items())

    def _tampered(self) -> str:
        delivery, secret = self._receiver.deliveries[0], self._receiver.secret
        now = int(delivery.headers["webhook-timestamp"])
        unsigned = {name: value for name, value in delivery.headers.items() if name != "webhook-signature"}
        other = {**delivery.headers, "webhook-id": "msg_other"}
        for what, headers, body, at in (
            ("changed", delivery.headers, delivery.body.replace(b"EUR", b"USD"), now),
            ("renamed", other, delivery.body, now),
            ("unsigned", unsigned, delivery.body, now),
            ("stale", delivery.headers, delivery.body, now + 3600),
        ):
            try:
                verify(secret=secret, headers=headers, body=body, now=at)
            except UntrustedError:
                continue
            raise MismatchError(f"a {what} delivery verifies")
        forged = request("POST", self._receiver.url, body=delivery.body, headers=unsigned)
        expect(forged.status == 401, f"the receiver answers {forged.status} to an unsigned request")
        return "changed body, other message id, missing signature, old timestamp: each refused"

    def _deliveries(self) -> str:
        while True:  # the service notes a success after the receiver has answered
            answer = self._call("GET", "/v1/deliveries")
            expect(answer.status == 200, f"status {answer.status}: {answer.body[:300]!r}")
            items = answer.json()["items"]
            if all(item["status"] == "succeeded" for item in items):
                break
            time.sleep(0.1)
        expect(len(items) == _EVENTS, f"{len(items)} deliveries instead of {_EVENTS}")
        return "\n".join(f"{item['id']} {item['status']} after {item['attempts']} attempt(s)" for item in items)

    def _metrics(self) -> str:
        text = self._call("GET", "/metrics", token=False).body.decode()
        wanted = {
            "requests": r'^http_server_request_duration_seconds_count\{[^}]*http_route="/v1/events"[^}]*\} (\S+)$',
            "events": r"^\w*events_accepted_total(?:\{[^}]*\})? (\S+)$",
        }
        lines = []
        for what, pattern in wanted.items():
            samples = [match for match in re.finditer(pattern, text, re.MULTILINE) if float(match[1]) >= _EVENTS]
            if not samples:
                raise MismatchError(f"no sample of the {what} is {_EVENTS} or more")
            lines.append(samples[0][0])
        return "\n".join(lines)

    def _stop(self) -> str:
        code = self._service.stop()
        expect(code == 0, f"exit code {code}")
        return "exit code 0"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None, *, token: bool = True) -> Answer:
        headers = {"Authorization": f"Bearer {self._token}"} if token else {}
        if body is None:
            return request(method, self._service.url + path, headers=headers)
        content = json.dumps(body).encode()
        return request(method, self._service.url + path, body=content, headers={**headers, "Content-Type": "application/json"})


def _problem(answer: Answer, status: int) -> str:
    """The answer as a line, once it is a problem (RFC 9457) with that status and a request id."""
    expect(answer.status == status, f"status {answer.status} instead of {status}: {answer.body[:300]!r}")
    kind = answer.headers.get("content-type", "").partition(";")[0]
    expect(kind == _PROBLEM, f"content type {kind!r} instead of {_PROBLEM}")
    expect(answer.headers.get("x-request-id"), "there is no X-Request-ID header")
    content = answer.json()
    expect(content.get("status") == status, f"the body says {content.get('status')}")
    return f"{status} {content['title']} ({content['type']}, request {answer.headers['x-request-id']})"
