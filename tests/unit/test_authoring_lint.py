import pytest

from migrator.authoring.allowances import read_allowances
from migrator.authoring.chain import read_chain
from migrator.authoring.findings import LintRules
from migrator.authoring.known_schema import keeps_files
from migrator.authoring.lint import lint_environment, lint_revision
from migrator.authoring.seals import seal
from migrator.authoring.squawk import INCLUDED, NOT_WANTED, SUPERSEDED, squawk_findings
from migrator.errors import EnvironmentFilesError
from tests.fixtures.lint_corpus import SQUAWK, pairs
from tests.fixtures.shop import findings, shop, write_revision


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("lint") / "shop")


@pytest.mark.parametrize("pair", list(pairs()), ids=lambda pair: f"{pair.source}: {pair.name}")
def test_an_unsafe_revision_is_found_and_its_safe_twin_is_not(environment, pair):
    unsafe, safe = findings(environment, pair.unsafe), findings(environment, pair.safe)

    assert pair.rule in {one.rule for one in unsafe}, unsafe
    assert [str(one) for one in safe] == []


def test_every_rule_of_squawk_that_is_asked_or_replaced_has_a_pair():
    proven = {name for name, *_ in SQUAWK}

    assert (SUPERSEDED.keys() | set(INCLUDED)) - proven == set()
    assert proven & NOT_WANTED.keys() == set()


def test_squawk_knows_every_rule_that_it_is_told(environment):
    assert squawk_findings("bbbb", "SELECT 1;", LintRules()) == []


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("character varying(20)", "varchar(40)", True),
        ("character varying(20)", "text", True),
        ("character varying(20)", "varchar", True),
        ("text", "varchar", True),
        ("numeric(12,6)", "numeric", True),
        ("numeric(12,6)", "numeric(14,6)", True),
        ("timestamp without time zone", "timestamptz", True),
        ("cidr", "inet", True),
        ("character varying(40)", "varchar(20)", False),
        ("character varying", "varchar(20)", False),
        ("text", "varchar(20)", False),
        ("numeric(12,6)", "numeric(14,4)", False),
        ("numeric", "numeric(14,4)", False),
        ("integer", "bigint", False),
        ("timestamp with time zone", "timestamp", False),
        (None, "text", False),
    ],
)
def test_a_change_of_type_is_known_to_keep_the_tables_files_or_not(old, new, kept):
    assert keeps_files(old, new) is kept


def test_an_allowance_in_a_comment_needs_a_reason_and_a_use(environment):
    dropped = "op.drop_column('orders', 'a', schema='public')"

    assert findings(environment, f"py:{dropped}  # lint: allow drop-column - read by nobody since release 7") == []
    without = {one.rule for one in findings(environment, f"py:{dropped}  # lint: allow drop-column")}
    assert without == {"drop-column", "allowance-without-reason"}
    useless = findings(environment, "py:pass  # lint: allow drop-column - once needed")
    assert [one.rule for one in useless] == ["unused-allowance"]


def test_a_landed_revision_is_allowed_in_the_environments_file(tmp_path):
    environment = shop(tmp_path / "shop")
    write_revision(environment, "bbbb", "aaaa", "op.execute('DROP TABLE public.orders')")
    chain = read_chain(environment)
    file = environment.folder / "lint.toml"
    assert [one.rule for one in lint_revision(chain, chain.get("bbbb"), LintRules())] == ["drop-table"]

    file.write_text('[bbbb]\ndrop-table = "nobody reads it since release 7"\n')
    assert lint_revision(chain, chain.get("bbbb"), LintRules()) == []

    file.write_text('[environment]\ndrop-table = "tables come and go here"\n')
    assert lint_revision(chain, chain.get("bbbb"), LintRules()) == []

    for wrong in ('[bbbb]\ndrop-table = ""\n', "drop-table = 3\n", "["):
        file.write_text(wrong)
        with pytest.raises(EnvironmentFilesError, match="lint"):
            read_allowances(environment)


def test_a_downgrade_that_loses_data_has_to_ask(tmp_path):
    environment = shop(tmp_path / "shop")
    body = "op.add_column('orders', sa.Column('c', sa.Text()), schema='public')"
    losing = "op.drop_column('orders', 'c', schema='public')"

    def rules(downgrade):
        write_revision(environment, "bbbb", "aaaa", body, downgrade)
        chain = read_chain(environment)
        return [one.rule for one in lint_revision(chain, chain.get("bbbb"), LintRules())]

    assert rules(losing) == ["downgrade-consent"]
    assert rules("op.execute('ALTER TABLE public.orders DROP COLUMN c')") == ["downgrade-consent"]
    assert rules(f"ops.require_consent_to_lose('c')\n{losing}") == []


def test_what_a_revision_says_of_itself_is_judged(tmp_path):
    environment = shop(tmp_path / "shop")
    path = write_revision(environment, "bbbb", "aaaa", "pass")
    sound = path.read_text()

    def rules(text, name="bbbb_of_a_test.py"):
        path.unlink()
        written = path.with_name(name)
        written.write_text(text)
        chain = read_chain(environment)
        found = [one.rule for one in lint_revision(chain, chain.get("bbbb"), LintRules())]
        written.rename(path)
        return found

    assert rules(sound) == []
    assert rules(sound.replace("Why: because.", "Why:")) == ["docstring"]
    assert rules(sound.replace('compatible_with = "bbbb"', "")) == ["compatible-with"]
    assert "compatible-with" in rules(sound.replace('compatible_with = "bbbb"', 'compatible_with = "cccc"'))
    assert rules(sound.replace("def downgrade", "def backwards")) == ["two-ways"]
    assert rules(sound, "bbbb.py") == ["file-name"]


def test_a_revision_that_asks_the_database_is_told_that_it_cannot_be_rendered(tmp_path):
    environment = shop(tmp_path / "shop")
    write_revision(environment, "bbbb", "aaaa", "op.get_bind().execute(sa.text('SELECT 1')).scalar()")
    chain = read_chain(environment)

    found = lint_revision(chain, chain.get("bbbb"), LintRules())

    assert [one.rule for one in found] == ["not-offline"]
    assert "cannot be rendered as SQL" in found[0].message


def test_a_landed_revision_that_was_edited_is_named_and_its_comments_are_free(tmp_path):
    environment = shop(tmp_path / "shop")
    path = write_revision(environment, "bbbb", "aaaa", "op.execute('SELECT 1')")
    first = environment.folder / "versions" / "aaaa_of_a_test.py"
    assert [one.rule for one in lint_environment(read_chain(environment), LintRules())] == ["history-edited"]

    assert seal(environment, read_chain(environment).revisions) == ["aaaa", "bbbb"]
    text = path.read_text()
    path.write_text(text.replace('"""\nA revision.', '"""\nAnother title.') + "\n# More words.\n")
    assert lint_environment(read_chain(environment), LintRules()) == []

    path.write_text(text.replace("SELECT 1", "SELECT 2"))
    edited = lint_environment(read_chain(environment), LintRules())
    assert [(one.rule, "bbbb" in one.message) for one in edited] == [("history-edited", True)]

    path.unlink()
    (environment.folder / "HEAD.txt").write_text("aaaa\n")
    gone = lint_environment(read_chain(environment), LintRules())
    assert ["its file is gone" in one.message for one in gone] == [True]
    assert first.exists()
