"""What PostgreSQL's own catalog says about a database at head."""

FOREIGN_KEYS_WITHOUT_INDEX = """
SELECT con.conname FROM pg_constraint con
WHERE con.contype = 'f' AND con.connamespace = 'public'::regnamespace AND NOT EXISTS (
    SELECT FROM pg_index idx WHERE idx.indrelid = con.conrelid AND idx.indisvalid AND idx.indpred IS NULL
    AND (idx.indkey::int2[])[0:cardinality(con.conkey) - 1] @> con.conkey)
"""


def test_every_foreign_key_has_an_index(main_connection):
    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == []


def test_a_foreign_key_without_an_index_is_found(main_connection):
    main_connection.execute("DROP INDEX ix_jobs_created_by_id")

    assert main_connection.execute(FOREIGN_KEYS_WITHOUT_INDEX).fetchall() == [("fk_jobs_created_by_id_users",)]


def test_there_is_no_enum_type(main_connection):
    assert main_connection.execute("SELECT typname FROM pg_type WHERE typtype = 'e'").fetchall() == []
