"""Generated clinic notes in Chinese with their fields: the demo of domain tasks. Templated text, no medical knowledge.

A row is a note and the five fields that it tells: what `configs/tasks/clinic_zh.yaml` asks for.
"""

import random
from collections.abc import Iterator

from data.row import Row

COMPLAINTS = {
    "咳嗽": ("急性支气管炎", "氨溴索"),
    "发热": ("上呼吸道感染", "布洛芬"),
    "腹泻": ("急性肠炎", "蒙脱石散"),
    "头痛": ("偏头痛", "佐米曲普坦"),
    "胸闷": ("冠心病", "阿司匹林"),
    "腰痛": ("腰肌劳损", "塞来昔布"),
    "皮疹": ("荨麻疹", "氯雷他定"),
    "反酸": ("胃食管反流病", "奥美拉唑"),
}
"""What a patient complains of → what the note finds and prescribes."""
TEMPLATES = (
    "{sex}，{age}岁，{complaint}{days}天就诊。诊断：{finding}。给予{drug}。",
    "患者{sex}性，年龄{age}岁。主诉{complaint}已有{days}天，考虑{finding}，处方{drug}。",
    "因{complaint}{days}天来诊，{age}岁{sex}性，查体后诊断为{finding}，开{drug}口服。",
    "门诊记录：{age}岁，{sex}，{complaint}持续{days}天；印象：{finding}；用药：{drug}。",
    "{age}岁{sex}患者，{days}天前出现{complaint}。诊为{finding}，予{drug}治疗。",
)


def note_rows(seed: int) -> Iterator[Row]:
    """Rows without end, drawn by `seed`."""
    draw = random.Random(f"clinic notes {seed}")
    line = 0
    while True:
        line += 1
        complaint = draw.choice(list(COMPLAINTS))
        # a third of the notes find or prescribe something else, so that the fields have to be read
        finding = COMPLAINTS[draw.choice([complaint, complaint, *COMPLAINTS])][0]
        drug = COMPLAINTS[draw.choice([complaint, complaint, *COMPLAINTS])][1]
        sex, age, days = draw.choice("男女"), draw.randint(1, 95), draw.randint(1, 30)
        note = draw.choice(TEMPLATES).format(
            sex=sex, age=age, complaint=complaint, days=days, finding=finding, drug=drug
        )
        fields = {"性别": sex, "年龄": age, "主诉": f"{complaint}{days}天", "诊断": finding, "用药": drug}
        yield Row(line, {"note": note, **fields})
