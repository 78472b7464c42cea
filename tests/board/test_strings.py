"""Every word in every language, and the browser of samples left with none untranslated."""

import re
from pathlib import Path
from string import Formatter

import pytest

from board import evaluate_page, publication, recipe_form
from board.recipe_form import sentence
from board.strings import LANGUAGES, Strings, schema_sentences, table
from report.page import HERE as REPORT

BOARD = Path(__file__).parents[2] / "board"


def names(text: str) -> set[str]:
    """The values that a text asks for."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", table())
def test_key_has_every_language(key: str) -> None:
    texts = table()[key]
    assert set(texts) == set(LANGUAGES)
    assert all(isinstance(text, str) and text.strip() for text in texts.values())
    assert len({frozenset(names(text)) for text in texts.values()}) == 1


def test_chinese_is_chinese() -> None:
    same = {key for key, texts in table().items() if not re.search(r"[\u4e00-\u9fff]", texts["zh"])}
    assert same == {"samples_of"}


def test_code_asks_for_keys_that_are_there() -> None:
    said = re.compile(r"""(?:say|strings)\(\s*(f?)"([a-z_{}.]+)\"""")
    asked = {match for path in BOARD.glob("*.py") for match in said.findall(path.read_text(encoding="utf-8"))}
    plain = {key for is_made, key in asked if not is_made}
    made = {re.sub(r"\{.*?\}", "", key) for is_made, key in asked if is_made}
    assert plain <= set(table())
    assert made == {"column_", "state_", "field_", "layout_"}


def test_browser_of_samples_is_translated_whole() -> None:
    script = (REPORT / "samples.js").read_text(encoding="utf-8")
    asked = set(re.findall(r'say\("([^"]+)"\)', script))
    assert asked <= set(Strings("zh").browser_words())
    assert Strings("en").browser_words() == {}


def test_every_field_of_a_form_is_explained_in_chinese() -> None:
    asked = {(stage, key) for key, stages in recipe_form.FIELDS.items() for stage in stages}
    asked |= {("eval", key) for key in evaluate_page.FIELDS} | {("publish", key) for key in publication.FIELDS}
    assert {sentence(*one) for one in asked} == set(schema_sentences())


@pytest.mark.parametrize("english", schema_sentences())
def test_sentence_of_the_schema_keeps_its_code(english: str) -> None:
    chinese = Strings("zh").of_schema(english)
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert re.findall("`[^`]+`", chinese) == re.findall("`[^`]+`", english)
    assert Strings("en").of_schema(english) == english


def test_values_are_put_in() -> None:
    assert Strings("en")("hours", hours=2, minutes=5) == "2 h 05 min"
    assert Strings("zh")("hours", hours=2, minutes=5) == "2 小时 05 分"
