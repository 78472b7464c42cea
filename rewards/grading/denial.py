"""Words around a value that take it back, bound it, or make it one of several: in English and a few other languages.

Each pattern is matched against a stretch of a sentence of bounded length, right before or right after the value.
"""

import re

_NEAR = 120  # characters before and after a value that can deny it
_FILL = (
    r"(?:\s+(?:be|is|are|was|equal|equals|to|exactly|the|a|an|option|choice|answer|just|simply|really"
    r"|actually|é|è|jest|är|adalah))*"
)
_NOT_BEFORE = re.compile(
    rf"(?:(?:\b(?=[a-fiknortuпн])(?:not|never|cannot|nor|neither|except|excluding|rather than|instead of"
    rf"|(?<!none )other than|unlike"
    rf"|nicht|keine?|não|non|niet|inte|nie|bukan|tidak"
    rf"|(?:everything|anything|all) but|differs? from|different from|far from|no es|по?не|не|không phải(?: là)?)"
    rf"|n['’](?:t|est pas)|ليس(?:ت)?){_FILL}"
    r"|不是|不为|不等于|并非|不选|ではなく)[\s\W]*$",
    re.IGNORECASE,
)
_DOUBTED_BEFORE = re.compile(
    r"\b(?=[cdfimnuw])(?:"  # first what all of it begins with: most words are told by one letter
    r"(?:(?:do|does|did|can|could|would)(?:n['’]t|\s+not)|cannot|never)\s+(?:\w+\s+)?(?:think|believe"
    r"|say|agree|know|claim)\b"
    r"|not\s+(?:true|correct|right|the case|possible|sure|certain|clear)\s+(?:that|whether|if)\b"
    r"|(?:wrong|incorrect|false|untrue)(?:\s+\w+){0,3}\s+that\b|(?:wrong|incorrect|false)\s+(?:answer"
    r"|option|choice|to)\b"
    r"|(?:might|may|could|would) (?:think|say|guess|believe|expect)\b"
    r"|(?<!no )(?<!without )(?<!without a )doubt(?:s|ed)?\b(?=\W+\w)"
    r"|(?:i|we) (?:deny|rule out|ruled out|eliminated?|excluded?|rejected?)\b)",
    re.IGNORECASE,
)
_IS = r"(?:is|are|was|were|would be|will be|must be|can be|seems|looks)"
_WRONG = (
    r"(?:wrong|incorrect|false|invalid|impossible|untrue|inaccurate|mistaken|nonsense|a (?:mistake|typo"
    r"|wrong|trap)"
    r"|the wrong|ruled out|excluded|eliminated|rejected|discarded|too (?:large|small|big|high|low|many|few))\b"
)
_NOT_AFTER = re.compile(
    rf"\W*(?!(?:i|we)\b)(?:(?:\w+\W?\s+){{0,3}}?{_IS}\s+(?:\w+\s+){{0,2}}?(?:not\b(?!\s+only)|never\b|{_WRONG})"
    rf"|(?:\w+\s+){{0,2}}?(?:isn|aren|wasn|weren|won|can|couldn|doesn|wouldn)['’]t\b"
    rf"|(?:\w+\s+){{0,2}}?(?:cannot|(?:does|do|did|will|would) not|fails?)\b"
    rf"|[^.]{{0,60}}?\b(?:but|however|though)\s+(?:it|that|this)\s*(?:['’]s"
    rf"|{_IS})\s+(?:\w+\s+)?(?:not\s+(?:right|correct)|{_WRONG})"
    rf"|not\s+(?:(?:the|an?)\s+)?(?:answer|right|correct|valid|really)\b|(?:\w+\s+)?{_WRONG}|\w{{0,8}}\s*(?:不是"
    rf"|不对|不正确|错误|错了|是错|ではな|ではありません|じゃな)"
    rf"|\w{{0,4}}\s*(?:이|가)?\s*아[니닙닌]"
    r"|\s*(?:नहीं|не\s*верн|неверн|неправил|không (?:đúng|phải)|sai\b|خطأ|ist (?:nicht|falsch)|no es\b"
    r"|n['’]est pas|değil))",
    re.IGNORECASE,
)
_RETRACTED = re.compile(
    rf"\W*(?:(?:but|wait|no|hmm|actually|oh|sorry|oops|however)\b\W*){{0,4}}"
    rf"(?:(?:that|this|it|which|the answer|my answer)\s*(?:['’]s|{_IS}"
    rf"|answer\s+{_IS})\s+(?:\w+\s+){{0,2}}?(?:not\b|{_WRONG})"
    rf"|(?:that|this|it)\s+(?:isn|wasn|can|doesn)['’]t\b|(?:that|this|it)\s+cannot\b|i (?:was"
    rf"|am) (?:wrong|mistaken)|wrong\b|incorrect\b"
    r"|not\s+(?:really|quite|correct|right)\b|just kidding|no\W*$|不对|错了|等等)",
    re.IGNORECASE,
)
_CORRECTION = re.compile(
    r"\W*(?:wait|actually|no|correction|sorry|oops|hmm|scratch that"
    r"|i mean)\b",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(
    r"\W*(?:(?:or|alternatively)\b(?!,?\s+(?:equivalently|simply|as|in|about|approximately|roughly|written|we|you|using"
    r"|by|one|note|if|else)\b)"
    r"|(?:it|this|that|the answer)\s+(?:might|may|could)\s+(?:\w+\s+)?be\s+(?=[-$\d\\(]))"
    r"|\W*(?:或|或者|也可能|можно и|oder|ou)(?![^\W\d_])",
    re.IGNORECASE,
)
_MORE = (
    r"(?:less|more|greater|fewer|larger|smaller|higher|lower|bigger|longer|shorter|older|younger|better"
    r"|worse)"
)
_BOUND_BEFORE = re.compile(
    rf"(?:\b{_MORE} than(?: or equal to)?|\bat (?:least|most)|\b(?:under|above|below|beyond|nearly|almost|before"
    r"|fast|presque|quase|casi|quasi|почти|prawie|hampir|bijna|nästan"
    rf"|up to|between"
    r"|within|exceed(?:s|ing)?|not quite|close to|(?:up|down)wards? of|minimum of|maximum of|menos de"
    r"|más de|mehr als|weniger als"
    r"|mais de|pelo menos|più di|meno di|almeno|al menos|meer dan|minder dan|mer än|więcej niż|mniej niż|lebih dari"
    r"|kurang dari|ít nhất|nhiều hơn|ít hơn"
    r"|mindestens|höchstens|plus de|moins de|au moins|au plus|больше|меньше|более|менее|не менее|не более)"
    r"|\bover|\b(?:sqrt|sin|cos|tan|ln|exp)|\b(?:sum|len|abs|chr|ord|int|float|range|print|pow|round)\("
    r"|\b(?:page|step|problem|question|chapter|line|figure)|\b(?:negative|minus|twice|thrice|double|triple"
    r"|half|quarter|third)(?: of)?"
    r"|\b(?:root|square|cube|half|reciprocal|inverse|opposite|logarithm|log|factorial|multiple|power"
    r"|divisor|factor)s?(?: of)?|[<>≤≥≠]|\\(?:[lg]eq?|[lg]eqslant|neq?|[lg]t)"
    r"|小于|大于|少于|多于|至少|至多|不超过|超过|不到|不足|最多有|最少有|几乎|接近|将近|以上|以下)\W*$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    rf"\W*(?:\w+\s+)?(?:or|and)\s+(?:{_MORE}|above|below|up|over|under|so|beyond|others?|something|thereabouts"
    rf"|whatever)\b|\s*\+(?!\s*\d)"
    rf"|\s+{_MORE} than\W*$"
    r"|\W*(?:\w+\s+)?(?:at (?:least|most)|minimum|maximum)\b|\s+(?:squared|cubed|factorial|choose|plus"
    rf"|minus|times|doubled|halved|tripled|increased|reduced|decreased|multiplied|divided"
    rf"|modulo|mod)\b|以上|以下|以内|左右|多(?=[\u4e00-\u9fff])|\s*(?:이상|이하|미만|보다)",
    re.IGNORECASE,
)
_OPEN_CHOICE = re.compile(
    r"\b(?:or|either|maybe|perhaps|possibly|alternatively|otherwise|else|unless|if|respectively|(?:could"
    r"|might|may) (?:also )?be|versus|vs|ou|oder|или"
    r"|hoặc|o bien)\b|或|或者|还是|또는|または|もしくは|أو|या",
    re.IGNORECASE,
)


def denies_before(lead: str) -> bool:
    """Whether what stands before a value, up to it, denies it: "not", "I don't think that it is"."""
    if len(lead) < 3 and lead.isascii():  # shorter than "not"
        return False
    near = lead[-_NEAR:]
    return _NOT_BEFORE.search(near[-40:]) is not None or _DOUBTED_BEFORE.search(near) is not None


def denies_after(tail: str) -> bool:
    """Whether what follows a value denies it: "is not the answer", "is wrong"."""
    return _NOT_AFTER.match(tail[:_NEAR]) is not None


def retracts(sentence: str) -> bool:
    """Whether a sentence takes back the one before it: "No, that is wrong"."""
    return _RETRACTED.match(sentence[:_NEAR]) is not None


def corrects(sentence: str) -> bool:
    """Whether a sentence corrects the one before it: "Wait, it is 19"."""
    return _CORRECTION.match(sentence) is not None


def offers_another(sentence: str) -> bool:
    """Whether a sentence adds another answer to the one before it: "Or 25", "It could also be 25"."""
    return _ALTERNATIVE.match(sentence) is not None


def bounds(lead: str, tail: str) -> bool:
    """Whether the words around a value make it a bound: "more than", "or less"."""
    return _BOUND_BEFORE.search(lead[-40:]) is not None or _BOUND_AFTER.match(tail[:40]) is not None


def leaves_open(sentence: str) -> bool:
    """Whether a sentence weighs several answers or cases: "or", "either", "maybe", "if"."""
    return _OPEN_CHOICE.search(sentence) is not None
