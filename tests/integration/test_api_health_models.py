"""Health reads the models of a long-lived process, and leaves them as they are."""

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from logs_db.models import SystemLog
from tests.fixtures.api import check


def test_asking_for_the_statement_of_a_missing_key_leaves_the_model_as_it_was(start_api, own_stores, own_logs):
    own_logs.execute("ALTER TABLE public.system_logs DROP CONSTRAINT pk_system_logs")

    result = check(start_api(own_stores.settings()), "indexes")

    assert "ADD CONSTRAINT pk_system_logs PRIMARY KEY" in result["message"]
    assert "PRIMARY KEY" in str(CreateTable(SystemLog.__table__).compile(dialect=postgresql.dialect()))
