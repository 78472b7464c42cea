"""The shipped calculator: exact, and nothing but arithmetic."""

import pytest

from models.environment import Environments
from rl.calculator import Calculator, evaluate, shown


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("(17 + 5) * 3", "66"),
        ("-7 // 2", "-4"),
        ("-7 % 3", "2"),
        ("2 ** 10", "1024"),
        ("0.1 + 0.2", "0.3"),
        ("1 / 3 * 3", "1"),
        ("1 / 3", "0.3333333333"),
        (" +4 ", "4"),
    ],
)
def test_value_is_exact(expression: str, value: str) -> None:
    assert shown(evaluate(expression)) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("__import__('os').getcwd()", "numbers, "),
        ("x + 1", "can't calculate 'x'"),
        ("True + 1", "can't calculate 'True'"),
        ("'a' * 3", "can't calculate"),
        ("1 +", "can't read '1 +'"),
        ("1 / 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("9 ** 9 ** 9", "an exponent has to be a whole number of at most 200"),
        ("2 ** 0.5", "an exponent has to be a whole number"),
        ("1e60 * 10", "the value is too large"),
        ("1" * 201, "longer than 200 characters"),
        ("1\0", "can't read"),
    ],
)
def test_anything_else_is_refused(expression: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+").replace("(", r"\(")):
        evaluate(expression)


def test_calculator_describes_its_tool() -> None:
    [schema] = Environments(Calculator, "calculator").schemas
    assert schema["function"]["name"] == "calculate"
    assert schema["function"]["parameters"]["required"] == ["expression"]


def test_reset_forgets() -> None:
    calculator = Calculator()
    calculator.calculate("1 + 1")
    assert calculator.values == ["2"]
    calculator.reset(question="?")
    assert calculator.values == []
