"""`mull plan`: a line for each model and number of GPUs, without torch, data or network."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.recipe import RECIPES
from tests.tiny_run import tiny_base
from training.plan import Assumed, main, plan

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scaling.md"
ROWS = Assumed(rows=1000)
RECIPES_OF_HUB_MODELS = [
    path for stage in ("sft", "grpo") for path in sorted((RECIPES / stage).glob("*.yaml")) if "cpu" not in path.name
]


@pytest.mark.parametrize("recipe", RECIPES_OF_HUB_MODELS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_recipe_has_a_plan(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULL_DATA", "data")
    [line] = plan(str(recipe), models=["qwen2.5-0.5b"], assumed=ROWS)
    assert line.total_minutes > 0
    assert line.flops > 1e12
    assert line.fits


def test_from_half_a_billion_to_32_on_1_to_64() -> None:
    models = ["qwen2.5-0.5b", "qwen2.5-7b", "Qwen/Qwen2.5-32B-Instruct"]
    lines = plan("s1k.yaml", gpus="1,8,64", models=models, assumed=ROWS)
    assert [(line.model, line.gpus) for line in lines] == [(m, g) for m in models for g in (1, 8, 64)]
    first, eight, many = (line.total_minutes for line in lines[:3])
    assert first > eight > many
    assert [line.steps for line in lines[:2]] == [313, 40]
    assert lines[0].bytes_a_gpu < lines[3].bytes_a_gpu < lines[6].bytes_a_gpu


def test_memory_says_what_does_not_fit() -> None:
    every = ["adapter=null", "model.precision=bf16", "model.backend=transformers"]
    whole = plan("s1k.yaml", every, "a100-40", assumed=ROWS)
    assert not whole[0].fits  # 7.6B weights, their gradients, and 8-bit states of Adam
    assert plan("s1k.yaml", gpu="4090", assumed=ROWS)[0].fits  # as the recipe says


def test_folder_of_a_model_is_planned(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "model", "qwen2")
    [line] = plan("s1k.yaml", [f"model.name={folder}"], "cpu", assumed=ROWS)
    assert line.precision == "nf4"
    assert line.fits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu": "h10"}, "--gpu h10: no figures of it here; did you mean 'h100'?"),
        ({"gpus": "eight"}, "--gpus eight: write a number"),
        ({"gpus": "0"}, "--gpus 0: write a number"),
        ({"models": ["qwen9-1b"]}, "the sizes of qwen9-1b are not known here"),
        ({"assumed": Assumed()}, "add --rows N"),
        ({"recipe": "demo"}, "add --stage sft, or grpo"),
        ({"recipe": "no_such"}, "no such file"),
    ],
)
def test_mistakes_are_one_line(options: dict[str, object], message: str) -> None:
    given = {"recipe": "s1k.yaml", "assumed": ROWS, **options}
    with pytest.raises(ConfigError) as refused:
        plan(**given)  # type: ignore[arg-type] # one of each kind
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_table_and_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--config", "s1k.yaml", "--rows", "1000", "--gpus", "1,8"]
    main(command)
    text = capsys.readouterr().out
    main([*command, "--json"])
    lines = json.loads(capsys.readouterr().out)
    assert [line["gpus"] for line in lines] == [1, 8]
    for line in lines:
        assert f"{line['steps']} × {line['rows_a_step']}" in text
        assert f"{sum(line['minutes'].values()):,.1f}" in text
    assert "nothing was run on a GPU yet" in text


COMMANDS = re.findall(
    r"^    mull plan ([^\n]*)\n\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=range(len(COMMANDS)))
def test_page_shows_what_is_printed(command: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(shlex.split(command))
    assert capsys.readouterr().out == printed


def test_plan_imports_no_torch() -> None:
    code = "import sys; from training.plan import main; main(['--config', 's1k.yaml', '--rows', '1000'])\n"
    code += "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
