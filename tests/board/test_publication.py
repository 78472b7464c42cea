"""A publication's command and what is said of it: the recipe kept, the gate's table, the card."""

import json
from pathlib import Path

import pytest
import yaml

from board.folder import Folder
from board.jobs import Jobs
from board.publication import FIELDS, dry, publication
from board.publish_view import PublishView
from board.recipe_form import Launch, sentence
from board.strings import Strings
from configs.errors import ConfigError, ModelError, MullError, RunError
from configs.gate_report import Check, GateReport
from configs.recipe import load_recipe
from configs.schema.publish import TARGETS
from release.targets import check_targets

HOSTILE = "<img src=x onerror=alert(1)> ${oc.env:HOME} {{x}} `y`"
NAME = "publish/sft-a"
CHECK = Check(export="adapter", name="top1", figure=0.5, bound=">= 0.99", passed=False)


def made(folder: Path, run: str = "sft/a", repo: str = "me/a", **typed: str) -> Launch:
    return publication(Folder(folder), run, ["merged16", "adapter", "no such"], repo, True, ["eval/a"], typed)


def gate(folder: Path, *checks: Check, passed: bool = False, pending: list[str] | None = None) -> GateReport:
    report = GateReport(
        passed=passed, checks=list(checks), pending=pending or [], prompts=1, problems=1, seconds=1, files={}
    )
    for name in ("exports", "repository"):
        (folder / NAME / name).mkdir(parents=True, exist_ok=True)
    (folder / NAME / "exports" / "gate.json").write_text(report.model_dump_json())
    return report


def view(folder: Path) -> PublishView:
    return PublishView(Folder(folder), Strings("en"))


def test_recipe_is_kept_and_says_what_the_form_says(tmp_path: Path) -> None:
    launch = made(tmp_path, base_model="org/base", tags="a, b", limits=HOSTILE)
    assert launch.words[::3] == ["release.publish", "--repo=me/a"]
    assert (launch.run, launch.is_run) == (NAME, False)
    config = load_recipe("publish", launch.words[2])
    assert config.run == str(tmp_path / "sft" / "a")
    assert config.exports == ["merged16", "adapter"]
    assert (config.base_model, config.tags, config.limits) == ("org/base", ["a", "b"], HOSTILE)
    assert config.evaluations == [str(tmp_path / "eval" / "a")]
    assert config.public
    assert config.output_dir == str(tmp_path / NAME)
    assert made(tmp_path, base_model="org/base", tags="a, b", limits=HOSTILE) == launch
    assert dry(launch).typed() == f"mull publish --config {launch.words[2]} --repo=me/a --dry-run"


@pytest.mark.parametrize(
    ("run", "repo", "message"),
    [
        ("", "me/a", "choose a finished run"),
        ("../a", "me/a", "is not below"),
        ("a b", "me/a", "from the command line"),
        ("sft/a", "me", "write owner/name"),
        ("sft/a", "--public", "write owner/name"),
        ("sft/a", "me/a --public", "write owner/name"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, run: str, repo: str, message: str) -> None:
    with pytest.raises(MullError) as refused:
        made(tmp_path, run, repo)
    assert message in str(refused.value)


def test_nothing_to_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exports"):
        publication(Folder(tmp_path), "sft/a", [], "", False, [], {})


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_has_its_sentence(key: str) -> None:
    assert len(sentence("publish", key)) > 10


@pytest.mark.parametrize("target", TARGETS)
def test_targets_are_those_of_the_export_command(target: str) -> None:
    refusal = ""
    try:
        check_targets([target])
    except ModelError as error:  # a tool that is not installed
        refusal = str(error)
    assert "is none of" not in refusal


def test_gate_fills_as_its_file_does(tmp_path: Path) -> None:
    seen = view(tmp_path)
    assert "Nothing has been checked yet" in seen.gate(NAME)
    gate(tmp_path, pending=["adapter", "merged16"])
    assert "Being checked: adapter, merged16." in seen.gate(NAME)
    good = CHECK.model_copy(update={"passed": True, "name": HOSTILE})
    gate(tmp_path, good, pending=["merged16"])
    assert "Being checked: merged16." in seen.gate(NAME)
    assert "<img" not in seen.gate(NAME)
    assert "$" not in seen.gate(NAME)
    gate(tmp_path, good, CHECK)
    assert "1 checks failed" in seen.gate(NAME)
    gate(tmp_path, good, passed=True)
    assert "Every check passed." in seen.gate(NAME)
    (tmp_path / NAME / "exports" / "gate.json").write_text("{")
    with pytest.raises(RunError, match="can't be read"):
        seen.gate(NAME)


def test_card_is_of_what_passed_and_never_html(tmp_path: Path) -> None:
    seen, repository = view(tmp_path), tmp_path / NAME / "repository"
    report = gate(tmp_path, CHECK, passed=True)
    (repository / "README.md").write_text(HOSTILE)
    assert not seen.is_ready(NAME)
    assert "when the gate has passed" in seen.card(NAME)
    (repository / "gate.json").write_text(report.model_dump_json())
    assert seen.is_ready(NAME)
    card = seen.card(NAME)
    assert "&lt;img" in card
    assert not {"{", "$", "`"} & set(card)
    assert "2 files" in card
    gate(tmp_path, CHECK)  # another dry run has begun
    assert not seen.is_ready(NAME)


def test_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "outputs", tmp_path / "secret"
    report = gate(root, CHECK, passed=True)
    (root / NAME / "repository" / "gate.json").write_text(report.model_dump_json())
    outside.write_text("secret")
    (root / NAME / "repository" / "README.md").symlink_to(outside)
    assert "secret" not in view(root).card(NAME)


def test_folder_in_use_is_the_commands_own_to_judge(tmp_path: Path) -> None:
    gate(tmp_path)
    jobs = Jobs(Folder(tmp_path))
    words = ["timeit", "-n", "1", "-r", "1", "pass"]
    job = jobs.start(Launch(words, NAME, "publish", is_run=False))
    assert job.run == NAME
    with pytest.raises(RunError, match="in use"):
        jobs.start(Launch(words, "publish", "publish"))


def test_kept_recipe_is_yaml_of_the_form(tmp_path: Path) -> None:
    kept = yaml.safe_load(Path(made(tmp_path).words[2]).read_text())
    assert json.loads(json.dumps(kept))["exports"] == ["merged16", "adapter"]
    assert "license" not in kept
