"""What the Data page looks at, by which command, and what a recipe gets of it."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from board.data_files import DataFiles
from board.data_look import COLUMNS, Look, inspected, literal, look_at, with_section
from board.folder import Folder
from board.recipe_form import recipe_text, recipes
from configs.errors import ConfigError, DataError, EngineError
from configs.recipe import load_recipe

NO_COLUMNS = [""] * len(COLUMNS)


def test_columns_become_fields_of_a_section(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1,2\n")
    columns = ["q" if key == "question" else "a" if key == "reply" else "" for key in COLUMNS]
    look = look_at(DataFiles(Folder(tmp_path)), "a.csv", "", "", "sft", "smollm2-135m", "none", 5, columns)
    path = str(tmp_path / "a.csv")
    words = [path, "--model=smollm2-135m", "--think-format=none", "--rows=5", "question=q", "reply=a"]
    assert look.words() == words
    assert look.typed(64) == f"mull inspect {' '.join(words)} --max-length=64"
    assert OmegaConf.create(look.section()) == {"data": {"path": path, "fields": {"question": "q", "reply": "a"}}}


def test_problems_have_columns_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1,2\n")
    columns = [{"question": "q", "answer": "a", "reply": "left over"}.get(key, "") for key in COLUMNS]
    look = look_at(DataFiles(Folder(tmp_path)), "a.csv", "", "", "grpo", "smollm2-135m", "s1", 5, columns)
    assert look.words()[1:] == [
        "--problems",
        "--model=smollm2-135m",
        "--think-format=s1",
        "--rows=5",
        "question=q",
        "answer=a",
    ]
    recipe = tmp_path / "r.yaml"
    recipe.write_text(with_section(recipe_text("grpo", "gsm8k.yaml"), look.section()))
    data = load_recipe("grpo", str(recipe), [f"output_dir={tmp_path}/out"]).data
    assert (data.path, data.fields) == (look.path, {"question": "q", "answer": "a"})
    with pytest.raises(ConfigError, match="take one of sft, grpo"):
        look_at(DataFiles(Folder(tmp_path)), "a.csv", "", "", "dpo", "smollm2-135m", "s1", 5, columns)


def test_hub_set_becomes_a_source() -> None:
    look = Look(hub="tatsu-lab/alpaca", split="train")
    assert look.words()[:2] == ["tatsu-lab/alpaca", "--hub"]
    assert OmegaConf.create(look.section()) == {"data": {"source": "tatsu-lab/alpaca", "split": "train"}}


@pytest.mark.parametrize("hub", ["-x", "a/b/c", "../x", "a/..", "$(id)", "a b", "/etc/passwd"])
def test_names_that_are_no_data_set_are_refused(tmp_path: Path, hub: str) -> None:
    with pytest.raises(DataError, match="no data set's name"):
        look_at(DataFiles(Folder(tmp_path)), "", hub, "", "sft", "smollm2-135m", "s1", 5, NO_COLUMNS)


@pytest.mark.parametrize(("think_format", "rows"), [("other", 5), ("s1", 0)])
def test_settings_that_there_are_not_are_refused(tmp_path: Path, think_format: str, rows: int) -> None:
    with pytest.raises(ConfigError, match="think format"):
        look_at(DataFiles(Folder(tmp_path)), "", "gsm8k", "", "sft", "smollm2-135m", think_format, rows, NO_COLUMNS)


def test_columns_are_never_looked_up() -> None:
    column = "${oc.env:HOME} \\ \"'#: {x}"
    read = OmegaConf.create(Look(hub="a/b", mapping={"text": column}).section())
    assert read.data.fields.text == column
    assert literal("a") == "a"


@pytest.mark.parametrize("name", recipes("sft"))
def test_section_takes_the_place_of_the_recipes_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text("q,a\n1,2\n")
    look = Look(path=str(tmp_path / "a.csv"), mapping={"question": "q", "reply": "a"})
    text = recipe_text("sft", name)
    replaced = with_section(text, look.section().rstrip())
    before, after = (OmegaConf.to_container(OmegaConf.create(one)) for one in (text, replaced))
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after.pop("data") == {"path": look.path, "fields": {"question": "q", "reply": "a"}}
    assert after == {key: value for key, value in before.items() if key != "data"}


def test_section_is_loaded_as_the_page_meant_it(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        with_section("model: {name: smollm2-135m}", Look(path="/x/a.csv", mapping={"text": "t"}).section())
    )
    config = load_recipe("sft", str(recipe), [f"output_dir={tmp_path}/out"])
    assert (config.data.path, config.data.fields) == ("/x/a.csv", {"text": "t"})


def test_a_process_looks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("问,答\n吃什么药？,请按时服药，多喝水，注意休息。\n坏,一,二\n".encode("gbk"))
    found = inspected(Look(path=str(tmp_path / "a.csv"), mapping={"question": "问", "reply": "答"}))
    assert (found.rows, list(found.encodings), found.bad[0].rows) == (1, ["gb18030"], ["3"])


def test_a_process_looks_at_problems(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer\n1 + 1?,2\nHalf?,\\frac{1}{2\n")
    found = inspected(Look(path=str(tmp_path / "a.csv"), purpose="grpo"))
    assert (found.rows, found.unread[0].rows) == (2, ["file-train-3"])


def test_a_look_without_a_word_says_why() -> None:
    with pytest.raises(EngineError, match="invalid choice"):
        inspected(Look(path="a.csv", think_format="none at all"))
