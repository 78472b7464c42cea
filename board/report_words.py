"""What a report's parts say in English, in the board's language: texts of theirs that `strings.yaml` knows."""

import html
import re
from collections.abc import Callable
from functools import cache

from board.strings import table

KEYS = "report_"
TEXT_NODE = re.compile(r">([^<>]+)<")
VALUE = re.compile(r"\{(\w+)\}")


def translated(markup: str, language: str) -> str:
    """HTML of `report.page` and `report.plots` with each text of `strings.yaml` that fills a node translated."""
    if language == "en":
        return markup
    translate = translator(language)
    return TEXT_NODE.sub(lambda found: f">{html.escape(translate(html.unescape(found[1])))}<", markup)


@cache
def translator(language: str) -> Callable[[str], str]:
    """A function of one text; what is not known stays as it is."""
    if language == "en":
        return lambda text: text
    rows = [(texts["en"], texts[language]) for key, texts in table().items() if key.startswith(KEYS)]
    plain = {source: target for source, target in rows if not VALUE.search(source)}
    patterns = [(_pattern(source), target) for source, target in rows if VALUE.search(source)]

    def translate(text: str) -> str:
        core = text.strip()
        if core in plain:
            return text.replace(core, plain[core])
        for pattern, target in patterns:
            if found := pattern.fullmatch(core):
                return text.replace(
                    core, target.format(**{name: translate(part) for name, part in found.groupdict().items()})
                )
        return text

    return translate


def _pattern(source: str) -> re.Pattern[str]:
    """What a text with values looks like."""
    parts = VALUE.split(source)  # text, name, text, name, …
    return re.compile("".join(f"(?P<{part}>.+?)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))
