"""A table shows what is in its cells, whatever that looks like."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headhunter.output import print_table, printable

PIECES = [
    "[",
    "]",
    "[/",
    "[bold]",
    "\\",
    ":x:",
    ":smile:",
    "=",
    "x",
    " ",
    "\n",
    "\t",
    "\x1b",
    "\u202e",
    "\u4e2d",
    "\u0301",
]
LOOKS_LIKE_MARKUP = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def shown(capsys, *texts):
    capsys.readouterr()
    print_table(["title"], [texts])
    return capsys.readouterr().out


def without_spaces(text):
    """Lines are folded and padded, so only what is not a space can be compared."""
    return "".join(text.split())


@pytest.mark.parametrize("text", ["\\[/x]", "[/x]", "[bold]x", "\\[bold]x", "a\\", "\\\\[x]", "urn:x:1", ":smile:"])
def test_what_looks_like_markup_or_an_emoji_is_shown_as_it_is(capsys, text):
    assert text in shown(capsys, text)


def test_what_is_wider_than_the_terminal_is_folded_and_not_cut(capsys):
    assert "w" * 300 in shown(capsys, "w" * 300).replace("\n", "")


def test_any_text_is_in_what_is_shown(capsys):
    @settings(max_examples=50)
    @given(st.one_of(LOOKS_LIKE_MARKUP, st.text(max_size=100)))
    def check(text):
        assert without_spaces("\n".join(map(printable, text.split("\n")))) in without_spaces(shown(capsys, text))

    check()


def test_a_title_is_text_too(capsys):
    print_table(["a[/b]"], [])

    assert "a[/b]" in capsys.readouterr().out
