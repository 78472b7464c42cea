"""The Chinese pages keep in step with the English ones, and what they say to type works."""

import re
from pathlib import Path

import pytest

from configs.recipe import load_recipe
from configs.schema.sections import DataConfig
from data.corpus import load_traces
from mull.__main__ import COMMANDS

ROOT = Path(__file__).parent.parent
ENGLISH, CHINESE = (ROOT / name for name in ("README.md", "README.zh-CN.md"))
TUTORIAL = ROOT / "docs" / "zh" / "tutorial.md"


def code(page: Path) -> list[str]:
    """Every indented line and every line of a fenced block."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^ {4}\S.*$", text, re.MULTILINE) + "".join(fenced).splitlines()


def structure(page: Path) -> tuple[list[str], list[str], list[str]]:
    """(levels of the headings, commands and modules of the tables, figures in per cent)."""
    text = page.read_text(encoding="utf-8")
    tables = re.findall(r"^\| `([^`]+)` \| `([^`]+)`", text, re.MULTILINE)
    figures = sorted(re.findall(r"[\d.]+%", text))
    return re.findall(r"^#+(?= )", text, re.MULTILINE), [" ".join(row) for row in tables], figures


def test_translation_keeps_commands_headings_and_figures() -> None:
    assert code(CHINESE) == code(ENGLISH)
    assert structure(CHINESE) == structure(ENGLISH)


@pytest.mark.parametrize("page", [CHINESE, TUTORIAL], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_tutorial_types_what_there_is() -> None:
    typed = re.findall(r"^ {4}mull (\w+)", TUTORIAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(typed) <= set(COMMANDS)
    assert {"inspect", "sft", "grpo", "chat", "export", "serve"} <= set(typed)


def test_recipe_of_the_tutorial_reads_its_table(tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    [table], [recipe] = (
        re.findall(rf"^```{kind}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) for kind in ("csv", "yaml")
    )
    (tmp_path / "terms.csv").write_text(table, encoding="gbk")
    (tmp_path / "terms_zh.yaml").write_text(recipe, encoding="utf-8")
    config = load_recipe("sft", tmp_path / "terms_zh.yaml")
    assert config.output_dir == "outputs/sft/terms_zh"
    data: DataConfig = config.data.model_copy(update={"path": str(tmp_path / "terms.csv")})
    traces = load_traces(data)
    assert [trace.reply for trace in traces][1] == "2型糖尿病##糖尿病性肾病"
    assert {trace.grader for trace in traces} == {"terms"}
