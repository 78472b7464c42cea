"""The board's words in each language, from `strings.yaml`; the schema's sentences, from `schema.zh.yaml`."""

from functools import cache
from pathlib import Path

import yaml

LANGUAGES = ("en", "zh")
FILE = Path(__file__).with_name("strings.yaml")
SCHEMA = Path(__file__).with_name("schema.zh.yaml")


@cache
def table() -> dict[str, dict[str, str]]:
    """Key → language → text."""
    return dict(yaml.safe_load(FILE.read_text(encoding="utf-8")))


@cache
def schema_sentences() -> dict[str, str]:
    """What the schema says of the forms' fields → the same in Chinese."""
    return dict(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


class Strings:
    """The words of one language: `strings("left", left="4 min")`."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """The text called `key` with `values` put in. Raises `KeyError` for an unknown key."""
        return table()[key][self.language].format(**values)

    def of_schema(self, sentence: str) -> str:
        """A sentence of the schema in this language. Raises `KeyError` for an unknown one."""
        return sentence if self.language == "en" else schema_sentences()[sentence]

    def browser_words(self) -> dict[str, str]:
        """What the browser of samples says, English → this language; empty where it needs no translation."""
        rows = (texts for key, texts in table().items() if key.startswith("samples_"))
        return {} if self.language == "en" else {texts["en"]: texts[self.language] for texts in rows}
