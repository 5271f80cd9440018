import asyncio
import threading
import time

import psycopg
import pytest
import redis

from api.health.board import Check, HealthBoard
from api.health.result import CheckResult, Finding, HealthStatus, failure, warning, worst
from api.health.thresholds import CHECK_SECONDS
from api.health.trouble import LOGS_DATABASE, REDIS

GOOD = CheckResult(status=HealthStatus.PASS, value=1, unit="events", message="Well.")


@pytest.fixture
def board():
    boards = []

    def make(**runs):
        checks = [Check(name, (LOGS_DATABASE,), run) for name, run in runs.items()]
        boards.append(HealthBoard(checks, None))
        return boards[-1]

    yield make
    for made in boards:
        made.close()


class HungCheck:
    """A check that waits until the test lets it go, and counts how often it was started."""

    def __init__(self):
        self.starts = 0
        self.release = threading.Event()

    def __call__(self, _):
        self.starts += 1
        self.release.wait(30)
        return GOOD


def timed(awaitable):
    began = time.monotonic()
    return asyncio.run(awaitable), time.monotonic() - began


def test_a_hung_check_is_reported_and_does_not_hold_up_the_others(board):
    hung = HungCheck()

    results, seconds = timed(board(hung=hung, good=lambda _: GOOD).results())
    hung.release.set()

    assert results["good"] == GOOD
    assert results["hung"].status == "fail"
    assert "The logs database does not answer" in results["hung"].message
    assert "LOGS_DATABASE_URL" in results["hung"].message
    assert seconds < CHECK_SECONDS + 0.2


def test_a_hung_check_is_not_started_again_and_costs_no_second_wait(board):
    hung = HungCheck()
    made = board(hung=hung)

    timed(made.results())
    again = [timed(made.results()) for _ in range(5)]
    hung.release.set()

    assert hung.starts == 1
    assert all(results["hung"].status == "fail" for results, _ in again)
    assert max(seconds for _, seconds in again) < 0.1


def test_a_check_that_hung_and_ended_is_asked_anew(board):
    hung = HungCheck()
    made = board(hung=hung)
    timed(made.results())

    hung.release.set()
    made._running["hung"].future.result(5)
    results, _ = timed(made.results())

    assert results["hung"] == GOOD
    assert hung.starts == 2


def test_callers_at_the_same_time_share_one_run(board):
    hung = HungCheck()
    made = board(hung=hung)

    async def three_callers():
        calls = [asyncio.create_task(made.results()) for _ in range(3)]
        await asyncio.sleep(0.05)
        hung.release.set()
        return await asyncio.gather(*calls)

    results, _ = timed(three_callers())

    assert hung.starts == 1
    assert results == [{"hung": GOOD}] * 3


def test_only_the_named_checks_are_run(board):
    hung = HungCheck()

    results, _ = timed(board(hung=hung, good=lambda _: GOOD).results(("good",)))

    assert list(results) == ["good"]
    assert hung.starts == 0


def failing(error):
    def run(_):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (psycopg.OperationalError("connection refused to secret-host"), "does not answer"),
        (psycopg.OperationalError('FATAL: password authentication failed for user "x"'), "refuses the login"),
        (psycopg.OperationalError('FATAL: database "x" does not exist'), "does not exist on its server"),
        (psycopg.OperationalError("FATAL: sorry, too many clients already"), "no connection left"),
        (psycopg.errors.QueryCanceled("statement timeout"), "too slow"),
        (psycopg.errors.UndefinedTable("x"), "lacks a table"),
        (psycopg.errors.InsufficientPrivilege("x"), "refuses its role a right"),
        (psycopg.errors.AdminShutdown("x"), "does not answer"),
        (psycopg.errors.SyntaxError("x"), "SQLSTATE 42601"),
        (redis.ConnectionError("secret-host"), "does not answer"),
        (redis.AuthenticationError("x"), "Redis refuses the login"),
        (redis.exceptions.NoPermissionError("x"), "widen the ACL"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "another type"),
    ],
)
def test_an_error_of_a_dependency_becomes_a_sentence_with_a_cure(board, error, sentence):
    results, _ = timed(board(broken=failing(error)).results())

    assert results["broken"].status == "fail"
    assert sentence in results["broken"].message
    assert "secret-host" not in results["broken"].message


def test_a_fault_of_a_check_itself_is_logged_and_told_without_its_text(board, caplog):
    results, _ = timed(board(broken=failing(KeyError("secret")), good=lambda _: GOOD).results())

    assert results["good"] == GOOD
    assert results["broken"].status == "fail"
    assert "secret" not in results["broken"].message
    assert [record.event for record in caplog.records] == ["check_failed"]


def test_a_result_is_as_bad_as_its_worst_finding_and_tells_that_first():
    result = CheckResult.of([warning("Soon."), failure("Now.")], value=2, unit="events", summary="Two.")

    assert (result.status, result.message) == ("fail", "Two. Now. Soon.")


def test_nothing_found_is_a_pass():
    assert worst([]) == "pass"
    assert CheckResult.of([], value=None, unit=None, summary="Well.").status == "pass"
    assert Finding(HealthStatus.WARN, "x") == warning("x")


def test_what_several_dependencies_may_have_caused_names_them_all():
    made = HealthBoard([Check("both", (REDIS, LOGS_DATABASE), failing(psycopg.OperationalError("x")))], None)
    results, _ = timed(made.results())
    made.close()

    assert results["both"].message.startswith("Redis or the logs database does not answer")
