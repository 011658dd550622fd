"""A fault in plain words: what it will do, to what, how often, until when.

says(installed)    "Delays every reply by 800ms, if command=GET, until 60s have gone by."
"""

from __future__ import annotations

from typing import Any

from rascal.faults.build import kinds
from rascal.language import Phrase, show

THEN = {
    "hang": "then nothing more comes", "close": "then the connection is closed",
    "reset": "then the connection is reset", "silent": "without a word",
    "end": "then it goes on as if that were all", "error": "then an error follows",
}  # fmt: skip
ABOVE = {"wait": "the others wait", "error": "the others get an error",
         "close": "the others are closed on", "reset": "the others are reset"}  # fmt: skip
PLAIN = {
    "bad_framing": "Lets replies say wrongly where they end",
    "blackhole": "Drops what arrives and answers nothing",
    "close": "Closes the connection",
    "corrupt": "Garbles bytes on their way",
    "duplicate": "Sends each request to the upstream twice",
    "empty": "Answers that nothing was found",
    "hang": "Holds everything back until the fault ends",
    "lose_reply": "Lets the upstream do the work and loses its reply",
    "lose_request": "Loses the request before the upstream sees it",
    "no_keepalive": "Makes clients connect anew after each reply",
    "noop": "Does nothing but count",
    "redirect": "Sends the client elsewhere",
    "refuse": "Refuses new connections",
    "reorder": "Lets later datagrams overtake",
    "replace": "Answers with another reply",
    "reset": "Resets the connection",
    "stale": "Answers with an earlier reply to the same request",
    "stall": "Lets replies begin and then stand still",
    "truncate": "Cuts replies short",
    "unreachable": "Lets new connections get no answer at all",
}
"""What needs no option to be said."""
FILLED = {
    "bad_body": ("how", "Spoils the body of replies ({})"),
    "concurrency": ("limit", "Serves at most {} requests at a time"),
    "corrupt": ("share", "Garbles {} of the bytes"),
    "error": ("error", "Answers with the error {}"),
    "huge_headers": ("size", "Swells the head of replies by {}"),
    "idle_kill": ("idle", "Ends connections on which nothing has moved for {}"),
    "limit": ("bytes", "Ends the connection after {}"),
    "max_age": ("age", "Ends connections at the age of {}"),
    "max_connections": ("limit", "Lets at most {} connections be open"),
    "rate_limit": ("rate", "Serves at most {} requests"),
    "slice": ("size", "Sends bytes in pieces of {}"),
    "slow_close": ("delay", "Passes the end of connections on {} later"),
    "stale": ("age", "Answers as it was {} ago"),
    "throttle": ("rate", "Lets bytes through at {}"),
    "trickle": ("size", "Sends {} at a time"),
}
"""What is said with the value of one option."""
MOMENTS = {
    "request": "requests", "reply": "replies", "connect": "connecting", "greeting": "the greeting",
    "during": "replies that have begun",
}  # fmt: skip
SIDES = {"to_upstream": "towards the upstream", "to_client": "towards the client"}


def says(one: Any) -> str:
    """What something installed will do, as a sentence or two."""
    if one.form == "script":
        steps = len(one.phrases)
        which = f" that match {show(one.match)}" if one.match else ""
        return (
            f"Strikes exchanges{which} in turn, by {steps} step{'s' * (steps != 1)}; then all pass."
        )
    if one.form == "recipe":
        parts = " ".join(_sentence(spec.phrase) for spec in one.specs)
        return parts or "Does nothing here."
    if one.form == "roulette":
        return f"Draws for each exchange: {one.text}."
    return _sentence(one.phrases[0])


def _sentence(phrase: Phrase) -> str:
    parts = [_what(phrase), *_then(phrase), *_which(phrase), *_often(phrase)]
    parts.append(_until(phrase))
    return ", ".join(part for part in parts if part) + "."


def _what(phrase: Phrase) -> str:
    kind = phrase.kind
    moments = phrase.clause("at")
    if kind == "delay":
        whole = [MOMENTS.get(str(one), str(one)) for one in moments or ()]
        return f"Delays {' and '.join(whole) or 'messages'} by {_value(phrase, 'delay')}"
    option, text = FILLED.get(kind, ("", ""))
    if option and phrase.option(option) is not None:
        said = text.format(_value(phrase, option))
    elif kind in PLAIN:
        said = PLAIN[kind]
    else:
        known = kinds().get(kind)
        said = known.summary.rstrip(".") if known else f"Does {kind}"
    if kind == "trickle":
        said += f" and waits {_value(phrase, 'delay')} after each"
    for name in ("bytes", "rows", "items", "lines", "chunks", "after"):
        if kind in ("truncate", "stall", "close", "reset") and phrase.option(name) is not None:
            counted = "" if name in ("bytes", "after") else f" {name}"
            said += f" after {_value(phrase, name)}{counted}"
    if moments and kind not in ("stall", "truncate"):
        said += f" at the {' and the '.join(str(one) for one in moments)}"
    return said


def _value(phrase: Phrase, name: str) -> str:
    found = phrase.option(name)
    return "its default" if found is None else str(show(found))


def _then(phrase: Phrase) -> list[str]:
    found = []
    if phrase.option("then") is not None:
        then = str(phrase.option("then"))
        found.append(THEN.get(then, then))
    if phrase.option("mode") is not None:
        mode = str(phrase.option("mode"))
        found.append(ABOVE.get(mode, mode))
    if phrase.kind == "stall" and phrase.option("hold") is not None:
        found.append(f"for {_value(phrase, 'hold')}")
    return found


def _which(phrase: Phrase) -> list[str]:
    found = []
    if phrase.clause("match"):
        found.append(f"only if {show(phrase.clause('match'))}")
    side = phrase.clause("direction")
    if str(side) in SIDES:
        found.append(SIDES[str(side)])
    return found


def _often(phrase: Phrase) -> list[str]:
    found = []
    if phrase.clause("skip"):
        found.append(f"not the first {phrase.clause('skip')}")
    if phrase.clause("every"):
        found.append(f"every {_th(phrase.clause('every'))} one")
    if phrase.clause("probability") is not None:
        found.append(f"{show(phrase.clause('probability'))} of them by chance")
    if phrase.clause("count"):
        count = phrase.clause("count")
        found.append("once" if count == 1 else f"at most {count} times")
    return found


def _until(phrase: Phrase) -> str:
    lasts = phrase.clause("for")
    return f"for {show(lasts)}" if lasts is not None else "until it is turned off"


def _th(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
