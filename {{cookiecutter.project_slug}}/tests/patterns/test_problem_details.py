"""Every error in one shape, with nothing in it that helps an attacker."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

from app.patterns.problem_details import Problem, ProblemDetails, Rule, code_of
from tests.support.live import serve

SECRET = "postgresql://user:hunter2@db/orders"  # what exception texts carry


class OutOfStockError(Exception):
    pass


class SoldOutError(OutOfStockError):
    pass


def application() -> Any:
    async def app(scope: Any, _receive: Any, send: Any) -> None:
        path = scope["path"]
        if path == "/raises":
            raise RuntimeError(SECRET)
        if path == "/known":
            raise SoldOutError
        if path == "/http":
            raise HTTPException(404, "No such order.", headers={"X-Hint": "look elsewhere"})
        if path == "/http-number":
            raise HTTPException(429, headers={"Retry-After": 5, "X-Hint": "in \u20ac"})  # type: ignore[dict-item]
        if path == "/http-500":
            raise HTTPException(502, SECRET)
        if path == "/http-object":
            raise HTTPException(409, {"sku": ["gone", "\ud800"]})
        if path == "/http-odd":
            raise HTTPException(200, "not an error at all")
        if path == "/long":
            raise HTTPException(400, "x" * 10_000)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError(SECRET)

    return app


RULES: dict[type[BaseException], Rule] = {
    OutOfStockError: lambda _: Problem(409, "out_of_stock", "Conflict", "Order fewer.", ((b"retry-after", b"60"),))
}


def get(path: str, **options: Any) -> httpx2.Response:
    problems = ProblemDetails(RULES, request_id=lambda _: "abc", **options)
    with serve(problems.wrap(application())) as url:
        return httpx2.get(f"{url}{path}")


def test_a_known_error_is_rendered_by_the_rule_of_its_nearest_type() -> None:
    answer = get("/known")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "60"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Order fewer.",
        "instance": "urn:request:abc",
        "code": "out_of_stock",
        "request_id": "abc",
    }


def test_an_unknown_error_says_nothing_about_itself() -> None:
    answer = get("/raises")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "hunter2" not in answer.text


def test_the_hook_is_told_of_an_unknown_error() -> None:
    told: list[BaseException] = []
    get("/raises", on_unhandled=lambda _scope, error: told.append(error))
    assert [str(error) for error in told] == [SECRET]


def test_the_hook_is_not_told_of_a_known_error() -> None:
    told: list[BaseException] = []
    get("/known", on_unhandled=lambda _scope, error: told.append(error))
    assert told == []


def test_a_handlers_own_refusal_keeps_its_text_and_headers() -> None:
    answer = get("/http")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json()["detail"] == "No such order."
    assert answer.headers["x-hint"] == "look elsewhere"


def test_a_header_that_is_a_number_or_cannot_be_written_keeps_the_refusal() -> None:
    answer = get("/http-number")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert (answer.headers["retry-after"], answer.headers["x-hint"]) == ("5", "in ?")


def test_a_handlers_own_fault_does_not_keep_its_text() -> None:
    answer = get("/http-500")
    assert (answer.status_code, answer.json()["code"]) == (502, "bad_gateway")
    assert "hunter2" not in answer.text


def test_an_object_becomes_a_member_and_what_cannot_be_written_is_left_out() -> None:
    answer = get("/http-object")
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"


def test_an_error_with_a_status_that_is_none_is_a_500() -> None:
    assert get("/http-odd").status_code == 500


def test_a_detail_is_bounded() -> None:
    assert len(get("/long").json()["detail"]) == 500


def test_a_response_that_has_begun_is_ended() -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        get("/begun")


def test_validation_errors_of_the_application_inside_are_not_this_layers_business() -> None:
    app = FastAPI()

    @app.get("/{number}")
    async def read(number: int) -> int:
        return number

    with serve(ProblemDetails().wrap(app)) as url:
        assert httpx2.get(f"{url}/x").status_code == 422
        assert httpx2.get(f"{url}/1").json() == 1


async def test_an_error_without_a_rule_cannot_be_used_to_refuse() -> None:
    async def nothing(*_: Any) -> Any:
        raise AssertionError("must not be called")

    with pytest.raises(KeyError):
        await ProblemDetails().refuse({"type": "http"}, nothing, nothing, KeyError("x"))


def test_streams_pass_untouched() -> None:
    app = FastAPI()

    @app.get("/")
    async def read() -> StreamingResponse:
        async def parts() -> Any:
            yield b"a"
            yield b"b"

        return StreamingResponse(parts())

    with serve(ProblemDetails().wrap(app)) as url:
        assert httpx2.get(url).content == b"ab"


@pytest.mark.parametrize(
    ("status", "code"), [(404, "not_found"), (413, "content_too_large"), (422, "unprocessable_content"), (599, "error")]
)
def test_the_code_of_a_bare_status_is_its_phrase_in_rfc_9110(status: int, code: str) -> None:
    assert code == code_of(status)
