"""Whole completions: which answer a sentence gives, and that half an answer or its denial is none."""

import pytest

from data.think_format import THINK_FORMATS
from rewards.grading.math_equivalence import grade_texts

# gold → completions that are right
RIGHT = {
    "18": [
        *("18 is the answer", "18 is the answer.", "So the answer must be 18.", "The answer, then, is 18."),
        *("18, since 3·6 = 18", "18 because 9 * 2 = 18", "18 (since 3·6 = 18)"),
        *("18. She sells 9 eggs at 2 dollars.", "The answer is 18 (nine eggs at $2).", "\\textbf{(C)}~18"),
        *("\\boxed{\\text{(C) } 18}", "الجواب هو 18.", "الإجابة هي ١٨", "उत्तर 18 है।", "उत्तर: १८", "Ответ: 18"),
        *("Ответ: 18 яблок.", "Ответ равен 18.", "Итак, получаем 18.", "정답은 18입니다.", "따라서 답은 18이다."),
        *("Đáp án là 18.", "Vậy đáp số là 18 quả táo.", "La respuesta es 18.", "La réponse est 18."),
        *("Die Antwort ist 18.", "答えは18です。", "คำตอบคือ 18", "Η απάντηση είναι 18.", "Cevap: 18"),
        *("La risposta è 18.", "الناتج يساوي 18", "\\\\boxed{18}", "Thus x = 18."),
        *("she makes 9 * 2 = $18 every day", "She has 16 eggs, eats 3 and sells the rest, so she makes $18."),
        *("The answer is 18!", "Therefore, there are **18** apples left.", "It is 18, not 19.", "It's 18."),
        *("I got 18", "**Final Answer:** 18\n\nI hope this helps!"),
        *("The answer is 18.\n\nLet me know if you need more help.", "The answer is: $$18$$"),
        *("The answer is:\n\\[18\\]", "The final answer is: $\\boxed{18}$. I hope it is correct."),
        *("Answer: 18 eggs", "ANSWER: 18", "the answer is = 18", "Answer = 18", "$18$ is the answer"),
        "There are 18 students and this is the answer.",
        *("She makes 18 dollars every day at the farmers' market.", "18 of the 20 students passed"),
        *("In 5 days he eats 18 apples.", "Out of 20 apples 18 are left.", "After 3 hours he has 18."),
        *("Tom has 18 apples, which is 3 more than Ann.", "(18)", "\\boxed{18}\\boxed{18}", "18 (approx)"),
        *("**18** eggs", "\\text{18}", "The answer is: **18**", "Total = 18", "Final answer: \\(18\\)."),
        *("So, Janet makes 9 * $2 = $<<9*2=18>>18 every day.\n#### 18", "\\boxed{\\$18}"),
        *("Thus, the answer is 18, as required.", "The answer is 18 because 20 - 2 = 18."),
        *("18\n\nExplanation: 20 - 2 = 18.", "Let me compute. 20 - 2 = 18", "We have 20 - 2 = 18 eggs left."),
        *("So she has 18 left.", "In total, 18 eggs were sold to 6 people."),
        *("At the end of 3 days, there are 18 eggs.", "答：一共有18个苹果。", "答案为：$18$", "综上，答案是 18。"),
        *("{'answer': '18'}", '{"answer": "\\\\boxed{18}"}', "So we get <answer>18</answer>."),
        *("Respuesta: 18 manzanas", "Ответ: \\(18\\)", "답: 18", "答え：18", "Vậy có 18 quả táo."),
        "الإجابة النهائية هي 18 تفاحة.",
    ],
    "9": [
        "9 (apples)",
    ],
    "9 (apples)": [
        *("9", "9 apples", "The answer is 9."),
    ],
    "1200": [
        *("1,200 gallons for 10 sharks", "10 sharks need a total of 1,200 gallons."),
    ],
    "8": [
        *('{"answer": "8"}', '{"answer": 8}', '```json\n{"reasoning": "3 and 5", "answer": 8}\n```'),
        'Here you go:\n```json\n{\n  "explanation": "3+5",\n  "final_answer": "8"\n}\n```',
        *('```\n{"answer": "The answer is 8."}\n```', '{"steps": [{"a": 1}], "answer": "8"}'),
        '{"answer": 8, "unit": "m"}',
    ],
    "\\frac12": [
        *('{"answer": "\\\\frac{1}{2}"}', '{"answer": "\\frac{1}{2}"}', "\\\\boxed{\\\\frac{1}{2}}"),
        *("The answer is $\\\\frac{1}{2}$.", "\\\\(\\\\frac{1}{2}\\\\)"),
    ],
    "1,2": [
        *('{"answer": [1, 2]}', "(i) \\boxed{1}\n\n(ii) \\boxed{2}", "$x = \\boxed{1}$ and $y = \\boxed{2}$"),
        "Part 1: \\boxed{1}. Part 2: \\boxed{2}.",
    ],
    "B": [
        *('{"answer": "B"}', "故选B", "故选：B", "所以选B。", "因此，答案选B。", "答案为B", "正确答案是B。"),
        *("本题选(B)。", "The answer is B, not A.", "**B**", "Answer: B) 12", "The answer is B.", "\\boxed{(B)}"),
        *("\\boxed{\\textbf{B}}", "Therefore, the correct answer is option (B) 12.", "B: 12", "选项B"),
        "【答案】B",
    ],
    "6": [
        *("So it is \\boxed{5}. Wait, that is wrong.\n\n**Final answer: 6**", "\\boxed{5}\n#### 6"),
    ],
    "5": [
        *("\\boxed{5}. The answer is correct.", "\\boxed{5}. This answer is reasonable."),
        *("The answer is 5 years old.", "<answer>5</answer>"),
    ],
    "1,2,3": [
        "(a) \\boxed{1} (b) \\boxed{2} (c) \\boxed{3}",
        "Part (a): $\\boxed{1}$\nPart (b): $\\boxed{2}$\nPart (c): $\\boxed{3}$",
        *("a) \\boxed{1}\nb) \\boxed{2}\nc) \\boxed{3}", "\\boxed{1}; \\boxed{2}; \\boxed{3}"),
        *("1. \\boxed{1}\n2. \\boxed{2}\n3. \\boxed{3}", "\\boxed{1}, \\boxed{2}, \\boxed{3}"),
    ],
    "C": [
        *("\\textbf{(C)}~18", "\\textbf{(C)}\\ 18", "Choice C", "The answer is choice C.", "option (C): 12"),
        *("Option C", "(C)", "C. 12", "C) 12 apples", "The correct option is C.", "The answer is (C) 12."),
        *("The correct answer is **C**.", "C is correct."),
    ],
    "12": [
        *("option (C): 12", "\\boxed{\\textbf{(B) } 12}", "\\boxed{\\text{(B)}\\quad 12}"),
    ],
    "A": [
        *("A is right, B is wrong.", "B is wrong, A is right", "Not B but A."),
    ],
    "The answer is 18.": [
        "18",
    ],
    "Answer: 18": [
        "18",
    ],
    "18, since 3·6 = 18": [
        "18",
    ],
    "The answer is $\\frac12$.": [
        "\\boxed{0.5}",
    ],
    "The final answer is 18 apples.": [
        "18",
    ],
    "18 apples in total for 3 kids": [
        "18",
    ],
    "答案是18。": [
        "18",
    ],
    "36": [
        "Maybe 36?",
    ],
    "-3": [
        *("so x=−3", "The answer is -3."),
    ],
    "3/4": [
        "The answer is 3/4 of the cake.",
    ],
    "0.75": [
        "The probability is $\\frac{3}{4}$.",
    ],
    "25%": [
        "The answer is 25%.",
    ],
    "1:2": [
        "The ratio is 1:2.",
    ],
    "4:30": [
        "The answer is 4:30.",
    ],
    "2,3": [
        *("The answers are 2 and 3.", "x = 2 or x = 3", "The solutions are $x=2$ and $x=3$."),
    ],
    "(1,2)": [
        *("The point is $(1,2)$.", "The point is (1, 2)."),
    ],
    "x=2": [
        "The answer is $x = 2$.",
    ],
    "x^2+1": [
        *("The answer is $x^2+1$.", "The answer is x^2 + 1."),
    ],
    "2\\sqrt{3}": [
        "The length is 2\\sqrt{3}.",
    ],
    "Alice": [
        "The answer is Alice.",
    ],
    "no solution": [
        "There is no solution",
    ],
    "Yes": [
        "Yes",
    ],
    "east": [
        "She goes \\boxed{east}.",
    ],
    "1000000": [
        "The answer is 1 million.",
    ],
    "15": [
        "15 minutes",
    ],
    "\\frac{3}{4}": [
        "$$\\frac{3}{4}$$",
    ],
    "(3, 4)": [
        "The point is $(3, 4)$ on the circle.",
    ],
    "x > 2": [
        "The solution is x > 2",
    ],
    "2x+1": [
        "f(x) = 2x+1",
    ],
    "\\sqrt{2}": [
        "$\\sqrt{2} \\approx 1.414$",
    ],
    "no": [
        "No",
    ],
    "even": [
        "The answer is even.",
    ],
    "2,-2": [
        "The answer is $x = 2$ or $x = -2$.",
    ],
}

# gold → completions that are wrong: denials, bounds, alternatives, lists, other options
WRONG = {
    "18": [
        *("18 is not the answer", "18 is not the answer.", "The answer is not 18.", "18 is wrong."),
        *("18 isn't right", "It cannot be 18.", "It can't be 18", "I don't think the answer is 18."),
        *("I do not believe it is 18", "The answer is 18. That is wrong."),
        *("The answer is 18. No, that's not right.", "\\boxed{18} is wrong", "The answer is not \\boxed{18}"),
        *("\\boxed{18}. Wait, this is incorrect.", "anything but 18", "never 18", "everything except 18"),
        *("18 would be incorrect", "The answer is 19, not 18.", "17 rather than 18", "The answer can be 18 or 19"),
        *("17 or 18", "Perhaps 17, perhaps 18", "maybe 17, maybe 18", "The answer is 18, or maybe 19."),
        *("The answer is 18 or possibly 19.", "It is either 18 or 20.", "could be 17 or could be 18"),
        *("17/18 or 18", "17 and 18", "The answers are 17 and 18.", "The answer is 17, 18"),
        *("The values are 16, 17, 18", "16\n17\n18", "- 16\n- 17\n- 18", "16, 17, 18", "x is 17 and y is 18"),
        *("The options are 17 and 18", "x=17, y=18", "x = 17 or 18", "more than 18", "at most 18"),
        *("The answer is greater than 18", "no more than 18", "fewer than 18 apples", "18 or more"),
        *("18 or less apples", "between 18 and 20", "over 18", "The answer is over 18", "up to 18", "almost 18"),
        *("x > 18", "The answer is $x > 18$", "The answer is $\\ge 18$", "negative 18", "The answer is minus 18"),
        *("The answer is -18", "the result is negative 18", "the square root of 18 is the answer", "twice 18"),
        *("The answer is half of 18", "18 million", "The answer is 18 thousand"),
        *("She has 18 thousand dollars in the bank", "the answer is 18 hundred", "18 plus 1"),
        *("The answer is 18 plus 1", "18 times 2", "19 minus 18", "18 divided by 2", "18 to 20", "18-20"),
        *("The answer is 18 to 20", "18 dollars and 50 cents", "18 feet 6 inches"),
        *("The answer is 18 apples and 3 oranges", "18 dollars or 19 dollars", "if it rains 18, otherwise 20"),
        *("18 if n is even, else 20", "答案不是18", "18不对", "17或18", "答案是17或18", "ответ не 18"),
        *("Ответ: 17 или 18", "정답은 18이 아닙니다", "Đáp án không phải là 18", "La respuesta no es 18"),
        *("Die Antwort ist nicht 18", "大于18", "至少18", "الجواب ليس 18", "La réponse n'est pas 18"),
        *("उत्तर 18 नहीं है", '{"answer": "17 or 18"}', '{"answer": [17, 18]}', '{"answer": null, "guess": 18}'),
        *('{"answer": "not 18"}', '{"reasoning": "18", "answer": "17"}', '{"answer": 17}\n', "\\boxed{17}\n18"),
        *("\\boxed{18} and \\boxed{19}", "A) 17", "(C) 19", "\\boxed{18}\nThe answer is 19."),
        *("The answer is 18. Wait, it is 19.", "The answer is 18. Actually, the answer is 19.", "18 | 19"),
        *("18 vs 19", "18/19", "The answer is 18/19 of it", "17, I mean it could be 18", "Not 18!", "18? No."),
        *("The answer is 18? No, 19.", "18, wrong", "18 is false", "18 is too small", "1.8", "It is 0.18"),
        *("The answer is 1 8", "18 19", "the first is 18, the second is 20", "Alice has 20 and Bob has 18"),
        *("18 hours and 30 minutes", "about 17 to 18", "The answer lies in (17, 18)"),
        *("The answer is not less than 18", "less than or equal to 18", "18-ish or so", "neither 17 nor 18"),
        *("18!", "0x12", "18i", "~18 or 19", "≥ 18", "18 = 20", "17, 18.", "17, or 18", "17 (or 18)"),
        *("18 [or 17]", "17 then 18", "I guess 17 or 18", "one of 17, 18, 19", "any number from 1 to 18"),
        *("everything but 18", "certainly not 18", "The answer is certainly not equal to 18"),
        *("The answer is never 18", "The answer is different from 18", "It is false that the answer is 18"),
        *("18 is not correct", "18 cannot be right", "18 [wrong]", "18 — no", "18 no", "18, no wait, 19"),
        *("Instead of 18, 19", "19, not 18", "An incorrect answer: 18", "You might think it is 18"),
        *("18 and a half", "18 and counting", "18 thousand", "18 dozen", "1 over 18", "18 over 2", "2 * 18"),
        *("x^18", "2 to the 18", "a divisor of 18", "page 18", "{18, 20}", "18/1/2020", "18,000", "#### not 18"),
        *("A: 17 or 18", "Final answer: 18 or 17", "\\boxed{18 \\text{ or } 19}", "\\boxed{18 \\text{ is wrong}}"),
        *("\\boxed{18?19}", "\\boxed{18} (or \\boxed{19})", "either \\boxed{18} or \\boxed{19}"),
        *("\\boxed{17}, \\boxed{18}, \\boxed{19}", "不等于18", "18不是答案", "不到18", "ответ: не 18"),
        *("меньше 18", "17 또는 18", "18ではない", "17 hoặc 18", "17 o 18", "nicht 18", "17 या 18"),
        *('{"answer": "18 or 19"}', '{"answer": []}', "<answer>17 or 18</answer>"),
    ],
    "2": [
        *("The answer is $x=2$ or $x=3$", "The answer is $x=2$ and $x=3$", "$x=2$ or $x=3$"),
    ],
    "3": [
        *("The answer is $x=2$ or $x=3$", "(a) \\boxed{1} (b) \\boxed{2} (c) \\boxed{3}", "The answer is 3x."),
        *("The answer is 3x plus one", "The answer is $3x$ dollars for a day", "3 sqrt 2 is the length"),
        *("The answer is 3\\sqrt{2}", "the length is 3\\sqrt{2} units for all"),
    ],
    "B": [
        *("B is wrong", "B is wrong, A is right", "The answer is not B.", "The answer is A or B.", "A and B"),
        *("Not B but A.", "It's not B", "The answer is A, not B", "B is incorrect.", "Either A or B"),
        *("\\boxed{A} or \\boxed{B}", "I eliminated B. The answer is C.", "不选B", "答案不是B", "A, B, C"),
        *("Both A and B are correct", "Options A and B", "故选A", "B. C.", "A|B", "B or A", "AB", "\\boxed{AB}"),
        *("not (B)", "B isn't correct", "B could be right, or C", "All except B", "None of A or B", "B错误，选A"),
        *("A或B", "故选A、B"),
    ],
    "A": [
        *("A is wrong, B is right", "A number"),
    ],
    "17": [
        '{"reasoning": "17", "answer": "18"}',
    ],
    "5": [
        *("5 \\text{ is wrong}", "\\boxed{5 \\text{ is wrong}}", "\\boxed{\\text{not } 5}"),
        *("\\boxed{5 \\text{ or } 6}", "5 wrong"),
    ],
    "C": [
        "(B) 12",
    ],
    "6": [
        "5 or 6 apples",
    ],
    "9": [
        "10 (apples)",
    ],
    "9 (apples)": [
        *("10", "9 oranges"),
    ],
}


def grades(gold: str, text: str) -> set[bool | None]:
    """The grades of an answer as bare text, after thinking, and inside an answer block."""
    return {
        *grade_texts([gold], [text]),
        *grade_texts([gold], [f"<think>a</think>{text}"], THINK_FORMATS["deepseek"]),
        *grade_texts([gold], [f"<reasoning>a</reasoning><answer>{text}</answer>"], THINK_FORMATS["xml"]),
    }


@pytest.mark.parametrize(("gold", "text"), [(gold, text) for gold, texts in RIGHT.items() for text in texts])
def test_answer_in_prose_is_right(gold: str, text: str) -> None:
    assert grades(gold, text) == {True}


@pytest.mark.parametrize(("gold", "text"), [(gold, text) for gold, texts in WRONG.items() for text in texts])
def test_partial_or_denied_answer_is_wrong(gold: str, text: str) -> None:
    assert True not in grades(gold, text)
