"""Fifteen GRPO recipes with two planted weaknesses each, the shipped ones, and small data sets for both."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.recipe import RECIPES, load_recipe, validate
from configs.schema.grpo import GrpoConfig

TUNED, HELD_BACK = "benchmarks.weaknesses.tuned", "benchmarks.weaknesses.held_back"
Specs = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Planted:
    """A recipe and the names of the rewards in it that have a hole; `is_held_back`: not tuned on."""

    name: str
    config: GrpoConfig
    holes: tuple[str, ...]
    is_held_back: bool


_ARITHMETIC = {"source": "arithmetic", "limit": 200, "seed": 5, "params": {"largest": 50}}
_CORRECTNESS = {"name": "correctness", "weight": 0.5, "params": {"unevaluated": 0.0}}
_CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Peru": "Lima",
    "Kenya": "Nairobi", "Norway": "Oslo", "Greece": "Athens", "Cuba": "Havana", "Chile": "Santiago", "Iran": "Tehran",
}  # fmt: skip
_COMPLAINTS = {
    "I was charged twice this month": "billing", "My parcel never arrived": "delivery",
    "The app crashes when it starts": "software", "The screen came broken": "hardware",
    "I can't sign in": "account", "The invoice names the wrong company": "billing",
    "The courier left it with a stranger": "delivery", "After the update all is slow": "software",
    "A key is missing on the keyboard": "hardware", "My password was changed by someone": "account",
}  # fmt: skip
_PEOPLE = (
    ("Anna", 34, "Vienna", "baker"), ("Boris", 51, "Sofia", "judge"), ("Chen", 28, "Wuhan", "nurse"),
    ("Dora", 63, "Lisbon", "painter"), ("Emil", 45, "Bern", "pilot"), ("Fatima", 39, "Rabat", "chemist"),
    ("Goran", 57, "Split", "fisher"), ("Hana", 22, "Osaka", "student"),
)  # fmt: skip
_EXPLAINED = {
    "Why is the sky blue?": "Air scatters short wavelengths of sunlight more than long ones",
    "Why do we have seasons?": "The axis of the Earth is tilted against its orbit",
    "Why does ice float?": "Frozen water takes more room and is less dense",
    "Why do leaves turn yellow?": "Trees withdraw their chlorophyll before winter",
    "Why does bread rise?": "Yeast turns sugar into carbon dioxide",
    "Why are there tides?": "The moon pulls the oceans by its gravity",
    "Why do stars twinkle?": "Moving layers of air bend their light",
    "Why does iron rust?": "It combines with oxygen in the presence of moisture",
}


def planted(folder: Path) -> Iterator[Planted]:
    """The recipes; their data sets are written to `folder`."""
    choice, labels, people, explained = (_written(folder, name, rows) for name, rows in _data().items())
    label = {"path": labels, "grader": "text"}
    reply = {"path": explained, "grader": "text"}
    for name, module, think_format, data, rewards in (
        ("substring", TUNED, "xml", _ARITHMETIC, _named("gold_in_text", "tags_each")),
        ("last", TUNED, "s1", _ARITHMETIC, _named("last_number", "length_bonus")),
        ("first", TUNED, "deepseek", _ARITHMETIC, [*_named("first_box", "short_bonus"), _CORRECTNESS]),
        ("letters", TUNED, "xml", {"path": choice}, _named("letter_anywhere", "option_text_anywhere")),
        ("labels", TUNED, "none", label, _named("label_in_reply", "label_prefix")),
        ("fields", TUNED, "none", {"path": people, "grader": "json"}, _named("fields_mentioned", "keys_counted")),
        ("near", TUNED, "s1", _ARITHMETIC, _named("close_enough", "reasoning_words")),
        ("judge", TUNED, "deepseek", reply, [*_named("judge_reads_instructions", "sounds_sure")]),
        ("computed", TUNED, "xml", _ARITHMETIC, _named("evaluated", "unfinished_is_fine")),
        ("unread", TUNED, "s1", _ARITHMETIC, [*_named("wrong_costs", "benefit_of_doubt"), _CORRECTNESS]),
        ("digits", HELD_BACK, "xml", _ARITHMETIC, _named("digits_alone", "lines_of_thinking")),
        ("options", HELD_BACK, "deepseek", {"path": choice}, _named("first_letter", "options_discussed")),
        ("reversed", HELD_BACK, "none", label, _named("reply_in_label", "label_counted")),
        ("blocks", HELD_BACK, "s1", _ARITHMETIC, _named("gold_in_thinking", "any_block")),
        ("recall", HELD_BACK, "xml", reply, _named("word_recall", "relevance")),
    ):
        config = _config(name, think_format, data, [_with_module(spec, module) for spec in rewards])
        holes = tuple(str(spec["name"]) for spec in rewards if spec is not _CORRECTNESS)
        yield Planted(name, config, holes, module == HELD_BACK)


def shipped(folder: Path) -> Iterator[tuple[str, GrpoConfig]]:
    """The recipes in `configs/grpo`; those of data that can't be had here ask about a few rows of its shape."""
    terms, entities = (_written(folder, name, rows) for name, rows in _domain_rows().items())
    local = {"term_normalisation_zh": terms, "ner_zh": entities}
    for path in sorted((RECIPES / "grpo").glob("*.yaml")):
        changes = [f"data.path={local[path.stem]}", "eval=null"] if path.stem in local else []
        yield path.stem, load_recipe("grpo", path, changes)


def _domain_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows as CHIP-CDN and chinese_ner_sft have them."""
    terms = {
        "右肺占位伴肝转移": "肺占位性病变##肝转移癌", "高血压3级": "高血压3级", "糖尿病伴肾病": "糖尿病肾病",
        "腰椎间盘突出症": "腰椎间盘突出", "甲减": "甲状腺功能减退症", "胆囊结石伴急性胆囊炎": "胆囊结石##急性胆囊炎",
        "左乳癌术后": "乳腺恶性肿瘤", "慢支": "慢性支气管炎",
    }  # fmt: skip
    entities = {
        "张三在北京大学读书": [("张三", "姓名"), ("北京大学", "组织机构")],
        "李四去上海": [("李四", "姓名"), ("上海", "地址")],
        "今天下雨": [],
        "阿里巴巴发布了新手机": [("阿里巴巴", "公司")],
        "王五住在广州天河": [("王五", "姓名"), ("广州天河", "地址")],
        "红楼梦是一本书": [("红楼梦", "书名")],
        "经理赵六来了": [("经理", "职位"), ("赵六", "姓名")],
        "没有人知道": [],
    }
    return {
        "terms": [{"text": text, "normalized_result": term} for text, term in terms.items()],
        "entities": [
            {
                "text": text,
                "entities": [{"entity_text": name, "entity_label": label} for name, label in found],
            }
            for text, found in entities.items()
        ],
    }


def _named(*names: str) -> list[Mapping[str, Any]]:
    return [{"name": name} for name in names]


def _with_module(spec: Mapping[str, Any], module: str) -> Mapping[str, Any]:
    return spec if spec is _CORRECTNESS else {**spec, "name": f"{module}:{spec['name']}"}


def _config(name: str, think_format: str, data: Mapping[str, Any], rewards: Specs) -> GrpoConfig:
    values = {
        "model": {"name": "smollm2-135m", "max_length": 512},
        "think_format": think_format,
        "data": dict(data),
        "rewards": [dict(spec) for spec in rewards],
        "trainer": {"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 256},
    }
    config: GrpoConfig = validate("grpo", values, f"{name}.yaml")
    return config


def _data() -> dict[str, list[dict[str, Any]]]:
    capitals = list(_CAPITALS.values())
    return {
        "choice": [
            {
                "question": f"What is the capital of {country}?",
                "choices": [capitals[(at + turn + offset) % len(capitals)] for offset in range(4)],
                "answer": capital,
            }
            for at, (country, capital) in enumerate(_CAPITALS.items())
            for turn in [-(at % 4)]
        ],
        "labels": [{"question": f"Which team? {text}", "answer": label} for text, label in _COMPLAINTS.items()],
        "people": [
            {
                "question": f"Write JSON with name, age, city, work: {name}, {age}, of {city}, is a {work}.",
                "answer": json.dumps({"name": name, "age": age, "city": city, "work": work}),
            }
            for name, age, city, work in _PEOPLE
        ],
        "explained": [{"question": question, "answer": answer} for question, answer in _EXPLAINED.items()],
    }


def _written(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)
