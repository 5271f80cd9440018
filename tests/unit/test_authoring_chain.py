import pytest

from migrator.authoring.chain import read_chain
from migrator.authoring.rebase import rebase
from migrator.authoring.seals import code_hash, read_seals, seal
from migrator.errors import EnvironmentFilesError, PermanentError
from tests.fixtures.shop import shop, write_revision


@pytest.fixture
def environment(tmp_path):
    """A line aaaa - bbbb - cccc."""
    environment = shop(tmp_path / "shop")
    write_revision(environment, "bbbb", "aaaa", "pass")
    write_revision(environment, "cccc", "bbbb", "pass")
    return environment


def edit(environment, revision, old, new):
    path = environment.folder / "versions" / f"{revision}_of_a_test.py"
    path.write_text(path.read_text().replace(old, new))


def head(environment):
    return (environment.folder / "HEAD.txt").read_text().strip()


def down(environment, revision):
    return read_chain(environment).get(revision).down_revision


def test_the_revisions_are_read_in_order(environment):
    chain = read_chain(environment)

    assert [file.revision for file in chain.revisions] == ["aaaa", "bbbb", "cccc"]
    assert chain.get("head").revision == "cccc"
    assert chain.get("b").revision == "bbbb"
    assert [file.revision for file in chain.up_to("bbbb")] == ["aaaa", "bbbb"]
    with pytest.raises(EnvironmentFilesError, match="no revision"):
        chain.get("dddd")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda e: write_revision(e, "dddd", "bbbb", "pass"), "2 heads, because cccc and dddd both build upon bbbb"),
        (lambda e: edit(e, "aaaa", "down_revision = None", 'down_revision = "cccc"'), "in a cycle"),
        (lambda e: (e.folder / "versions" / "bbbb_of_a_test.py").unlink(), "builds upon bbbb, but no file"),
        (
            lambda e: (e.folder / "versions" / "cccc_of_a_test.py").unlink(),
            "HEAD.txt names cccc, but the newest .* bbbb",
        ),
        (lambda e: edit(e, "bbbb", "down_revision = 'aaaa'", "down_revision = None"), "several first revisions"),
        (lambda e: edit(e, "bbbb", "down_revision = 'aaaa'", 'down_revision = ("aaaa", "x")'), "as plain texts"),
        (lambda e: edit(e, "bbbb", "def upgrade()", "def upgrade("), "is not Python"),
        (lambda e: edit(e, "cccc", 'revision = "cccc"', 'revision = "bbbb"'), "both call themselves revision bbbb"),
        (lambda e: (e.folder / "HEAD.txt").write_text("<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> x\n"), "a conflict of git"),
    ],
    ids=["two heads", "cycle", "missing", "head missing", "two bases", "merge", "syntax", "same id", "conflict"],
)
def test_a_chain_that_is_not_one_line_is_refused_in_a_sentence(environment, spoil, sentence):
    spoil(environment)

    with pytest.raises(EnvironmentFilesError, match=sentence) as refused:
        read_chain(environment)

    assert refused.value.exit_code == 70


def test_a_hash_is_free_of_comments_docstrings_and_layout(environment):
    file = read_chain(environment).get("bbbb")
    import ast  # noqa: PLC0415 - only here

    same = file.source.replace("A revision.", "Another.").replace("    pass", "    pass  # nothing") + "\n\n\n"
    other = file.source.replace("branch_labels = None", "branch_labels = ''")

    assert code_hash(ast.parse(same)) == code_hash(file.tree)
    assert code_hash(ast.parse(other)) != code_hash(file.tree)


def test_a_seal_is_only_ever_added(environment):
    chain = read_chain(environment)
    assert seal(environment, chain.revisions[:1]) == ["aaaa"]
    before = read_seals(environment)
    edit(environment, "aaaa", "branch_labels = None", "branch_labels = ''")

    assert seal(environment, read_chain(environment).revisions[:2]) == ["bbbb"]
    assert read_seals(environment)["aaaa"] == before["aaaa"]

    (environment.folder / "versions.lock").write_text("aaaa 1\naaaa 2\n")
    with pytest.raises(EnvironmentFilesError, match="both sides of a conflict"):
        read_seals(environment)


def forked(environment):
    """Two lines upon bbbb: cccc, which has landed, and dddd - eeee, which has not."""
    write_revision(environment, "dddd", "bbbb", "pass")
    path = write_revision(environment, "eeee", "dddd", "pass")
    (environment.folder / "fingerprints" / "dddd.json").write_text("{}")
    (environment.folder / "HEAD.txt").write_text("<<<<<<< HEAD\neeee\n=======\ncccc\n>>>>>>> main\n")
    return path


def test_a_local_line_goes_on_top_of_what_landed(environment):
    seal(environment, read_chain(environment).revisions)
    forked(environment)

    rebased = rebase(environment)

    assert (rebased.moved, rebased.onto) == (("dddd", "eeee"), "cccc")
    assert head(environment) == "eeee"
    assert (down(environment, "dddd"), down(environment, "eeee")) == ("cccc", "dddd")
    assert not (environment.folder / "fingerprints" / "dddd.json").exists()
    assert set(read_seals(environment)) == {"aaaa", "bbbb", "cccc"}


def test_without_seals_the_conflict_in_head_txt_tells_which_is_local(environment):
    forked(environment)

    assert rebase(environment).onto == "cccc"


def test_the_local_one_can_be_named(environment):
    forked(environment)
    (environment.folder / "HEAD.txt").write_text("unreadable\n")
    with pytest.raises(PermanentError, match="cannot be told"):
        rebase(environment)

    assert rebase(environment, "cccc").moved == ("cccc",)
    assert (head(environment), down(environment, "cccc")) == ("cccc", "eeee")


def test_a_landed_revision_is_not_moved(environment):
    seal(environment, read_chain(environment).revisions)
    path = forked(environment)

    with pytest.raises(PermanentError, match=r"cccc .* has landed"):
        rebase(environment, "cccc")

    assert "down_revision = 'dddd'" in path.read_text()
    assert "<<<<<<<" in head(environment)


def test_one_head_leaves_nothing_to_rebase(environment):
    with pytest.raises(PermanentError, match="one head only"):
        rebase(environment)
