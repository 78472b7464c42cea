"""Whether two matrices, or a matrix and what else it may be written as, are equivalent."""

from rewards.grading.math.answer import Answer, Group, Matrix
from rewards.grading.math.pairing import Equal, all_equal


def equal_matrices(gold: Answer, answer: Answer, equal: Equal) -> bool | None:
    """Cell by cell; a row or column equals the tuple of its cells."""
    if isinstance(gold, Matrix) and isinstance(answer, Matrix):
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        return all_equal(_cells(gold), _cells(answer), equal)
    matrix, other = (gold, answer) if isinstance(gold, Matrix) else (answer, gold)
    nested = _rows(other)
    if isinstance(matrix, Matrix) and nested is not None:
        return equal(matrix, nested) if matrix is gold else equal(nested, matrix)
    if not isinstance(matrix, Matrix) or not isinstance(other, Group) or other.brackets not in ("()", "[]"):
        return False
    if len(matrix.rows) > 1 and any(len(row) > 1 for row in matrix.rows):
        return False
    return all_equal(_cells(matrix), other.items, equal)


def _rows(other: Answer) -> Matrix | None:
    """`[[1,2],[3,4]]` as a matrix."""
    if not isinstance(other, Group) or other.brackets not in ("[]", "()", "") or len(other.items) < 2:
        return None
    rows = [item.items for item in other.items if isinstance(item, Group) and item.brackets in ("[]", "()")]
    return Matrix(tuple(rows)) if len(rows) == len(other.items) else None


def _cells(matrix: Matrix) -> tuple[Answer, ...]:
    return tuple(cell for row in matrix.rows for cell in row)
