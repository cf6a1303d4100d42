from datetime import UTC, datetime, timedelta

import pytest

from pslgs_operator.api.errors import ApiError, Meaning, retry_after
from pslgs_operator.kube_client import (
    ConflictError,
    NamespaceTerminatingError,
    RejectedError,
    RetryableError,
)


def answer(reason="", message="", *, cause="", kind=""):
    details = {"kind": kind, "causes": [{"reason": cause}] if cause else None}
    return {"kind": "Status", "reason": reason, "message": message, "details": details}


QUOTA = answer("Forbidden", "exceeded quota: count/jobs.batch=2")
ENDING = answer("Forbidden", "unable to create new content in namespace x", cause="NamespaceTerminating")
NOWHERE = answer("NotFound", kind="namespaces")
WEBHOOK = answer("InternalError", 'Internal error occurred: failed calling webhook "policy": refused')


@pytest.mark.parametrize(
    ("status", "body", "meaning", "trouble"),
    [
        pytest.param(400, answer("BadRequest"), Meaning.REJECTED, RejectedError, id="malformed"),
        pytest.param(401, answer("Unauthorized"), Meaning.RETRY, RetryableError, id="token renewed"),
        pytest.param(403, QUOTA, Meaning.REJECTED, RejectedError, id="quota"),
        pytest.param(403, answer("Forbidden"), Meaning.REJECTED, RejectedError, id="no rights"),
        pytest.param(403, ENDING, Meaning.TERMINATING, NamespaceTerminatingError, id="namespace ends"),
        pytest.param(404, answer("NotFound", kind="jobs"), Meaning.NOT_FOUND, RejectedError, id="gone"),
        pytest.param(404, NOWHERE, Meaning.TERMINATING, NamespaceTerminatingError, id="no namespace"),
        pytest.param(404, {}, Meaning.NOT_FOUND, RejectedError, id="kind unknown"),
        pytest.param(409, answer("Conflict"), Meaning.RETRY, ConflictError, id="conflict"),
        pytest.param(409, answer("AlreadyExists"), Meaning.RETRY, RetryableError, id="exists"),
        pytest.param(410, answer("Expired"), Meaning.RETRY, RetryableError, id="expired"),
        pytest.param(413, {}, Meaning.REJECTED, RejectedError, id="too large"),
        pytest.param(422, answer("Invalid"), Meaning.REJECTED, RejectedError, id="invalid"),
        pytest.param(429, answer("TooManyRequests"), Meaning.RETRY, RetryableError, id="too many"),
        pytest.param(500, WEBHOOK, Meaning.REJECTED, RejectedError, id="broken webhook"),
        pytest.param(500, answer("InternalError"), Meaning.RETRY, RetryableError, id="internal"),
        pytest.param(502, {}, Meaning.RETRY, RetryableError, id="proxy"),
        pytest.param(503, answer("ServiceUnavailable"), Meaning.RETRY, RetryableError, id="starting"),
        pytest.param(504, answer("Timeout"), Meaning.RETRY, RetryableError, id="timeout"),
    ],
)  # fmt: skip
def test_each_answer_has_one_meaning(status, body, meaning, trouble):
    error = ApiError.parse(status, body)
    assert error.meaning is meaning
    assert type(error.as_trouble()) is trouble


def test_a_refusal_says_what_the_api_server_said():
    refused = ApiError.parse(403, QUOTA).as_trouble()
    assert isinstance(refused, RejectedError)
    assert (refused.reason, refused.message) == ("Forbidden", "exceeded quota: count/jobs.batch=2")


def test_an_answer_without_words_is_told_by_its_number():
    assert str(ApiError.parse(502, {}).as_trouble()) == "502 : HTTP status 502"


@pytest.mark.parametrize(
    "body",
    [
        {"details": None},
        {"details": {"causes": None}},
        {"message": None},
        {"reason": 7},
        {"message": "x" * 9999},
    ],
    ids=["no details", "no causes", "no message", "wrong type", "huge"],
)
def test_odd_answers_are_read_all_the_same(body):
    assert len(ApiError.parse(500, body).message) <= 1024


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"Retry-After": "7"}, 7, id="seconds"),
        pytest.param({"Retry-After": "0"}, 0, id="at once"),
        pytest.param({"Retry-After": "86400"}, 300, id="capped"),
        pytest.param({"Retry-After": "9" * 4300}, None, id="no number of seconds"),
        pytest.param({"Retry-After": "-5"}, None, id="negative"),
        pytest.param({"Retry-After": "soon"}, None, id="unreadable"),
        pytest.param({"Retry-After": "Thu, 01 Jan 2026 12:00:20 GMT"}, 20, id="date"),
        pytest.param({"Retry-After": "Thu, 01 Jan 2026 11:00:00 GMT"}, 0, id="date that is over"),
        pytest.param({"Retry-After": "Fri, 02 Jan 2026 12:00:00 GMT"}, 300, id="date far away"),
        pytest.param(
            {"Retry-After": "Thu, 01 Jan 2026 08:00:09 GMT", "Date": "Thu, 01 Jan 2026 08:00:00 GMT"},
            9,
            id="date by the clock of the API server",
        ),
    ],
)
def test_how_long_the_api_server_asks_to_wait(headers, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert retry_after(headers, NOW) == expected


def test_the_delay_of_a_retryable_error_is_kept():
    trouble = ApiError.parse(429, answer("TooManyRequests"), timedelta(seconds=7)).as_trouble()
    assert (trouble.retry_after, trouble.affects_all) == (timedelta(seconds=7), True)
    body = {"details": {"retryAfterSeconds": 3}}
    assert ApiError.parse(500, body).as_trouble().retry_after == timedelta(seconds=3)
