"""Match conditions: `command=GET,MGET and key^=session: and not sql~^select`.

Each field has a type, which decides what may be compared with it. Patterns are those of
google-re2, which takes time linear in the text: look-around and back-references are refused.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from rascal.errors import did_you_mean, listed
from rascal.language.reader import NAME, READERS, MatchField, Reader
from rascal.language.values import FLAGS, Condition, Range

_OPERATOR = re.compile(r"==|=~|!~|!=|\^=|\$=|\*=|>=|<=|=|~|>|<")
SPAN = re.compile(r"(?=.*[0-9])([0-9][\w.]*?)?\.\.([0-9][\w.]*)?")
_NUMBER = re.compile(r"[0-9]{1,15}")
_LOOKAROUND = re.compile(r"\(\?<?[=!]")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=")
_ORDERED = ("number", "size")


def read_match(r: Reader) -> tuple[Condition, ...]:
    """Conditions joined by `and`."""
    found = [_condition(r)]
    while True:
        back = r.at
        r.space(newline=not r.lines)
        word = r.peek_word()
        if word == "or":
            raise r.fail(
                "there is no 'or': list values with commas (command=GET,SET), use a pattern (~), "
                "or add a second fault",
                end=r.at + 2,
            )
        if word != "and":
            r.at = back
            return tuple(found)
        r.at += 3
        r.space(newline=True)
        found.append(_condition(r))


READERS["match"] = read_match


def field_named(name: str, r: Reader) -> MatchField | None:
    """The field called `name`; "header.NAME" stands for any header. None: fields are not typed."""
    fields = r.tables.fields
    if fields is None:
        return None
    for field in fields:
        if field.name == name:
            return field
        prefix, wildcard, _ = field.name.partition("NAME")
        if wildcard and name.startswith(prefix) and len(name) > len(prefix):
            return field
    known = sorted(field.name for field in fields)
    raise LookupError(
        f"{r.tables.protocol or 'this protocol'} has no match field '{name}'; "
        f"fields: {listed(known, f'rascal protocols {r.tables.protocol}')}."
        f"{did_you_mean(name, known)}".rstrip(".")
    )


def _condition(r: Reader) -> Condition:
    r.space()
    negated = r.peek_word() == "not"
    if negated:
        r.at += 3
        r.space()
    start, name = r.at, NAME.match(r.text, r.at)
    if not name:
        raise r.fail("expected a condition such as command=SET, path^=/api or sql~^insert")
    field, r.at = name[0], name.end()
    try:
        typed = field_named(field, r)
    except LookupError as error:
        known = [known.name for known in r.tables.fields or ()]
        raise r.fail(str(error.args[0]), start, code="unknown-name", allowed=known) from None
    r.space()
    at, found = r.at, _OPERATOR.match(r.text, r.at)
    if not found:
        raise r.fail(f"expected one of = != ^= ~ > >= < <= after '{field}'")
    op, r.at = found[0], found.end()
    check_operator(r, field, typed, op, at)
    r.space()
    if op == "!=":
        negated, op = not negated, "="
    values = [_item(r, field, typed, op)]
    while op in ("=", "^=") and r.next() == "," and r.next(1).strip():
        r.at += 1
        values.append(_item(r, field, typed, op))
    if not r.lines and r.next() == ",":
        raise r.fail(
            "conditions are joined by 'and', values by a comma without a blank", end=r.at + 1
        )
    return Condition(field, op, tuple(values), negated)


def check_operator(r: Reader, field: str, typed: MatchField | None, op: str, at: int) -> None:
    """Refuse operators of other languages, and those that the field's type does not have."""
    advice = {
        "==": f"{field}=…",
        "=~": f"{field}~…",
        "!~": f"not {field}~…",
        "$=": f"{field}~…$",
        "*=": f"{field}~…",
    }.get(op)
    if advice:
        raise r.fail(f"'{op}' is not an operator; write {advice}", at)
    if typed is None or op in ("=", "!="):
        return
    allowed: tuple[str, ...]
    if typed.type in _ORDERED:
        allowed = ("=", "!=", ">", ">=", "<", "<=")
    else:
        allowed = ("=", "!=") if typed.type in ("flag", "address") else ("=", "!=", "^=", "~")
    if op not in allowed:
        raise r.fail(
            f"'{field}' is a {typed.type} and has no '{op}'; operators: {' '.join(allowed)}",
            at,
            allowed=allowed,
        )


def _item(r: Reader, field: str, typed: MatchField | None, op: str) -> str | Range:
    at = r.at
    quoted = r.next() in ('"', "'")
    word = r.string() if quoted else r.bare("" if op == "~" else ",")
    if not quoted:
        if op == "~" and word.endswith(","):
            word, r.at = word[:-1], r.at - 1
        if not word:
            raise r.fail(
                f"a value is missing after '{field}{op}' (the empty text is written \"\")",
                at,
                code="value-missing",
            )
        if word[0] in "=<>~":
            raise r.fail(f"a value that starts with '{word[0]}' is quoted", at)
        if op == "=" and "*" in word:
            star = at + word.index("*")
            raise r.fail(
                f"'*' has no meaning here: write {field}^={word.split('*')[0]} (starts with) or a "
                f"pattern ({field}~…), or quote it if you mean a star",
                star,
                star + 1,
            )
    return check_value(r, field, typed, op, word, at, span=not quoted)


def check_value(
    r: Reader, field: str, typed: MatchField | None, op: str, word: str, at: int, *, span: bool
) -> str | Range:
    """A value, read as the field's type wants it; `span`: `500..599` is a range."""
    if op == "~":
        check_pattern(r, word, at)
        return word
    type_ = typed.type if typed else None
    if op == "=" and span and (type_ is None or type_ in _ORDERED):
        found = SPAN.fullmatch(word)
        if found:
            value = Range(found[1], found[2])
            if type_:
                ends = [_ordered(r, field, str(type_), end, at) for end in found.groups() if end]
                if len(ends) == 2 and ends[0] > ends[1]:
                    raise r.fail(f"the range {word} runs backwards", at)
            return value
    if type_ in _ORDERED:
        _ordered(r, field, str(type_), word, at)
    elif type_ == "flag":
        if word not in FLAGS:
            raise r.fail(f"'{field}' is yes or no, found '{word}'", at, allowed=("yes", "no"))
        return "yes" if FLAGS[word] else "no"
    elif type_ == "address":
        try:
            ip_network(word, strict=False)
        except ValueError:
            raise r.fail(
                f"'{word}' is not an address: write 10.0.0.7, 10.0.0.0/8 or ::1", at
            ) from None
    return word


def _ordered(r: Reader, field: str, type_: str, word: str, at: int) -> Any:
    if type_ == "size":
        return r.amount("size", word, at).value
    if not _NUMBER.fullmatch(word):
        tens = re.fullmatch(r"([1-9])xx", word)
        advice = f": write {tens[1]}00..{tens[1]}99" if tens else ""
        raise r.fail(f"'{field}' is a number, found '{word}'{advice}", at)
    return int(word)


def check_pattern(r: Reader, pattern: str, at: int) -> None:
    """Refuse what re2 cannot compile, and say why."""
    problem = pattern_problem(pattern)
    if problem:
        raise r.fail(problem, at, code="pattern")


@lru_cache(maxsize=256)
def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    try:
        compile_pattern(pattern)
    except ValueError as error:
        if found := _LOOKAROUND.search(pattern):
            return (
                f"the pattern has look-around ('{found[0]}'), which a linear-time engine does not "
                "do: join conditions with 'and' and 'not' instead"
            )
        if found := _BACK_REFERENCE.search(pattern):
            return (
                f"the pattern has a back-reference ('{found[0]}'), which a linear-time engine "
                "does not do: write out what it stands for"
            )
        return f"the pattern is not valid: {error}"
    return None


def compile_pattern(pattern: str, folded: bool = False) -> Any:
    """A compiled google-re2 pattern; `folded`: letters compare without regard to case.

    Raises ValueError if it cannot be compiled.
    """
    import re2  # type: ignore[import-untyped,unused-ignore]  # takes 10 ms, and most commands need no pattern

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not folded
    try:
        return re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        detail = error.args[0] if error.args else error
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        raise ValueError(text) from None
