import logging

import pytest
from pydantic import ValidationError

from tests.fixtures.api import ADMIN_TOKEN, HEALTH, as_role, check

SYSTEM, LLM = "/api/v1/admin/logs/system", "/api/v1/admin/logs/llm"
ADMIN_ROUTES = (HEALTH, SYSTEM, LLM)


def bearer(token):
    return {"Authorization": f"Bearer {token}".encode()}


@pytest.mark.parametrize("route", ADMIN_ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        bearer("wrong"),
        bearer(ADMIN_TOKEN + "x"),
        bearer(""),
        {"Authorization": f"Basic {ADMIN_TOKEN}".encode()},
        {"Authorization": ADMIN_TOKEN.encode()},
    ],
    ids=["none", "wrong", "longer", "empty", "basic", "bare"],
)
def test_without_the_right_token_the_answer_is_401_and_names_the_scheme(client, route, headers):
    answer = client.get(route, headers=headers, params={"limit": "not even looked at"})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "ADMIN_TOKEN" in answer.json()["detail"]


@pytest.mark.parametrize("route", ADMIN_ROUTES)
def test_with_the_token_the_admin_routes_are_open(client, route):
    assert client.get(route).status_code in {200, 503}
    assert client.get(route, headers=bearer("wrong")).status_code == 401


@pytest.mark.parametrize("route", ADMIN_ROUTES)
@pytest.mark.parametrize("headers", [bearer(""), bearer("None"), bearer(ADMIN_TOKEN), {"Authorization": ""}])
def test_where_no_token_is_set_the_admin_routes_are_closed_to_everybody(stores, start_api, route, headers):
    answer = start_api(stores.settings(admin_token=None)).get(route, headers=headers)

    assert answer.status_code == 503
    assert "ADMIN_TOKEN is not set" in answer.json()["detail"]


def test_probes_need_no_token_and_tell_no_more_than_the_states_of_the_schemas(client):
    assert client.get("/livez", headers={"Authorization": ""}).json() == {"status": "pass"}
    ready = client.get("/readyz", headers={"Authorization": ""})

    assert ready.status_code == 200
    assert ready.json() == {"status": "pass", "checks": {"logs_schema": "pass", "main_schema": "pass"}}


def test_admin_answers_are_stored_nowhere_and_no_content_type_is_guessed(client):
    for route in (*ADMIN_ROUTES, "/api/v1/admin/none"):
        assert client.get(route).headers["Cache-Control"] == "no-store"
    assert client.get("/livez").headers["X-Content-Type-Options"] == "nosniff"


def test_each_request_is_one_line_without_its_query(client, caplog):
    with caplog.at_level(logging.DEBUG, "api.middleware"):
        client.get(f"{SYSTEM}?component=jane%20doe&bad=1")
        client.get("/livez%0aINFO forged")

    lines = [(record.event, record.method, record.path, record.status) for record in caplog.records]
    assert lines == [
        ("request_answered", "GET", SYSTEM, 422),
        ("request_answered", "GET", "/livez%0aINFO%20forged", 404),
    ]
    assert all(record.duration_ms >= 0 for record in caplog.records)


def test_probes_are_logged_for_debugging_only(client, caplog):
    with caplog.at_level(logging.DEBUG, "api.middleware"):
        client.get("/livez")

    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_an_error_nobody_foresaw_is_a_500_that_shows_nothing_of_itself(own_stores, own_logs, start_api):
    own_logs.execute("ALTER TABLE public.system_logs ALTER COLUMN level DROP NOT NULL")
    own_logs.execute("INSERT INTO public.system_logs (component, message) VALUES ('c', 's3cret')")

    answer = start_api(own_stores.settings(), raise_server_exceptions=False).get(SYSTEM)

    assert answer.status_code == 500
    assert answer.json() == {"detail": "The API failed: its log has the error; please report it."}
    assert answer.headers["Cache-Control"] == "no-store"
    with pytest.raises(ValidationError) as logged:
        start_api(own_stores.settings()).get(SYSTEM)
    assert "s3cret" not in str(logged.value)


def test_the_openapi_document_lists_the_routes_and_the_token(client):
    document = client.get("/openapi.json").json()

    assert {"/livez", "/readyz", *ADMIN_ROUTES} <= set(document["paths"])
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert "security" in document["paths"][SYSTEM]["get"]
    assert "security" not in document["paths"]["/livez"]["get"]


def test_while_a_schema_is_missing_the_api_is_alive_and_not_ready(stores, start_api, new_database):
    client = start_api(stores.settings(database_url=new_database()))

    ready = client.get("/readyz")

    assert client.get("/livez").status_code == 200
    assert ready.status_code == 503
    assert ready.json() == {"status": "fail", "checks": {"logs_schema": "pass", "main_schema": "fail"}}
    assert "`headhunter db upgrade main`" in check(client, "main_schema")["message"]


def test_pages_of_a_database_without_the_tables_are_503_with_a_sentence(stores, start_api, new_database):
    answer = start_api(stores.settings(logs_database_url=new_database())).get(SYSTEM)

    assert answer.status_code == 503
    assert "not at its head" in answer.json()["detail"]


def test_pages_that_the_role_may_not_read_are_503_with_a_sentence(stores, start_api, plain_role):
    answer = start_api(stores.settings(logs_database_url=as_role(stores.logs, plain_role))).get(SYSTEM)

    assert answer.status_code == 503
    assert "may not read" in answer.json()["detail"]
