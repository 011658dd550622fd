"""proxies.ini: what it means, and what is said about a file that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rascal.config import Configuration, Registry, check, load
from rascal.config.tokens import hash_token
from rascal.errors import ConfigErrors
from rascal.language import show

Load = Callable[..., Configuration]

SHOP = """\
# One shop, four dependencies. Try it: rascal check proxies.ini
[rascal]
control = 127.0.0.1:8474
seed = 42

[proxy:db]
protocol = mysql
listen = 127.0.0.1:3307
upstream = ${DB_HOST}:3306
# one fault a line; each has its own draw
faults =
    20% delay(normal(800ms, 100ms)) match statement=SELECT name slow-selects
    lose_reply(then=reset) match statement=COMMIT count 1 enabled no name lost-commit

[proxy:cache]
protocol = redis
listen = 127.0.0.1:11212, [::1]:11212
upstream = 127.0.0.1:11211

[proxy:jobs]
protocol = redis
listen = 127.0.0.1:6380
upstream = unix:/run/redis.sock

[proxy:payment]
protocol = http
listen = 127.0.0.1:8081
upstream = payment.internal:80
# one draw for each request: at most one of these strikes it
roulette = 10% delay(2s), 5% error(503, retry_after=2s)

# the long form of a fault: a section, with one clause or option a line
[fault:cache/cold]
kind = empty
match = key^=session:,cart:
for = 20s
enabled = no

[script:db/checkout-trouble]
match = statement=UPDATE,COMMIT
enabled = no
steps =
    pass 2
    error(deadlock)
    lose_reply(then=reset)
"""
PROXY = "[proxy:db]\nprotocol = mysql\nlisten = 127.0.0.1:3307\nupstream = 127.0.0.1:3306\n"


def findings(read: Load, text: str, **more: Any) -> list[str]:
    with pytest.raises(ConfigErrors) as caught:
        read(text, **more)
    return [str(finding) for finding in caught.value.findings]


def test_the_file_of_a_new_user(read: Load) -> None:
    found = read(SHOP, {"DB_HOST": "db.internal"})
    assert (str(found.control), found.seed, found.compatible) == ("127.0.0.1:8474", 42, "loopback")
    assert list(found.proxies) == ["db", "cache", "jobs", "payment"]
    db, cache = found.proxies["db"], found.proxies["cache"]
    assert (str(db.upstream), db.protocol.name, db.line) == ("db.internal:3306", "mysql", 6)
    assert [str(address) for address in cache.listen] == ["127.0.0.1:11212", "[::1]:11212"]
    assert db.options.connect_timeout == 10.0
    assert db.protocol_options.negotiate is True
    assert [fault.name for fault in db.faults] == ["slow-selects", "lost-commit"]
    assert [(one.form, one.enabled, one.line) for one in db.installed] == [
        ("fault", True, 12),
        ("fault", False, 13),
        ("script", False, SHOP.split("\n").index("[script:db/checkout-trouble]") + 1),
    ]
    assert db.scripts[0].enabled is False
    assert show(db.installed[2].match) == "statement=UPDATE,COMMIT"
    cold = cache.installed[0]
    assert cold.text == "empty match key^=session:,cart: for 20s enabled no name cold"
    assert found.proxies["payment"].roulettes[0].name == "roulette"
    assert found.proxies["jobs"].upstream.path == "/run/redis.sock"


def test_check_says_what_there_is(read: Load, registry: Registry) -> None:
    read(SHOP, {"DB_HOST": "x"})
    summary = check("proxies.ini", {"DB_HOST": "x"}, registry=registry)
    assert summary == ("proxies.ini: 4 proxies, 3 faults (1 armed), 1 roulette, 1 script: all well")


WRONG = [
    (
        PROXY + "faults = delay 2s match qury~^select",
        "proxies.ini:5:25: mysql has no match field "
        "'qury'; fields: client, command, n, sql, statement",
    ),
    (
        PROXY + "faults =\n  hang\n  delay 2",
        "proxies.ini:7:9: '2' has no unit: write 2s or 2ms (units: us, ms, s, m, h, d)",
    ),
    (
        PROXY + "faults = hang on db",
        "proxies.ini:5:15: 'on' has no meaning here: the section names the proxy",
    ),
    (PROXY + "faults = error(nonsense)", "proxies.ini:5:16: mysql has no error 'nonsense'"),
    (
        PROXY + "faults =\n    20% delay 1s\n    hang at reply",
        "proxies.ini:7:13: hang strikes no such moment",
    ),
    (
        PROXY + "probability = 1",
        "proxies.ini:5:1: [proxy:db] has no option 'probability'; options: "
        "protocol, listen, upstream, enabled, connect_timeout, mirror, proxy_protocol, backlog, "
        "tls, tls_name, tls_ca, tls_verify, tls_certificate, tls_key, negotiate, faults, roulette",
    ),
    (PROXY + "conect_timeout = 1s", "proxies.ini:5:1: [proxy:db] has no option 'conect_timeout'; "),
    (
        PROXY + "connect_timeout = 1",
        "proxies.ini:5:19: '1' has no unit: write 1s or 1ms (units: us",
    ),
    (
        PROXY + "connect_timeout = 20m",
        "proxies.ini:5:19: connect_timeout is at most 10m, found 20m",
    ),
    (
        PROXY + "proxy_protocol = v3",
        "proxies.ini:5:18: proxy_protocol 'v3' is not known; allowed: off, v1, v2",
    ),
    (PROXY + "negotiate = maybe", "proxies.ini:5:13: negotiate 'maybe' is not known; allowed: yes"),
    (
        PROXY + "negotiate = yes # really",
        "proxies.ini:5:17: nothing is expected after the negotiate"
        ", found '# really' (a comment stands on a line of its own)",
    ),
    (
        PROXY.replace("mysql", "mysq"),
        "proxies.ini:2:12: protocol 'mysq' is not known; allowed: tcp, "
        "mysql, redis, http. Did you mean 'mysql'?",
    ),
    (PROXY.replace("listen", "lisen"), None),
    (
        PROXY.replace("3307", "x"),
        "proxies.ini:3:10: '127.0.0.1:x' is not an address: write host:por",
    ),
    (
        PROXY.replace("127.0.0.1:3307", "127.0.0.1:1,\n   127.0.0.1"),
        "proxies.ini:4:4: '127.0.0.1' has no port: write host:port, [v6]:port or unix:/path",
    ),
    (
        PROXY.replace("3307", "3306"),
        "proxies.ini:4:12: the proxy would call itself: it listens on 127.0.0.1:3306",
    ),
    (PROXY.replace(":3306", ":0"), "proxies.ini:4:12: an upstream has a port from 1"),
    (
        PROXY.replace("127.0.0.1:3307", "unix:/" + "x" * 120),
        "proxies.ini:3:10: a socket's path has at most 107 bytes",
    ),
    (
        PROXY + PROXY.replace(":db", ":other"),
        "proxies.ini:7:10: 127.0.0.1:3307 is taken by [proxy:db",
    ),
    (
        PROXY.replace("127.0.0.1:3307", "0.0.0.0:3307") + PROXY.replace(":db", ":other"),
        "proxies.ini:7:10: 127.0.0.1:3307 is taken by [proxy:db] (0.0.0.0:3307)",
    ),
    (PROXY.replace("3307", "8474"), "proxies.ini:3:10: 127.0.0.1:8474 is taken by the control API"),
    (PROXY + PROXY, "proxies.ini:5:1: the section [proxy:db] stands already in line 1"),
    (
        PROXY.replace(":db", ":on"),
        "proxies.ini:1:1: [proxy:on]: 'on' cannot be a name: it is a claus",
    ),
    (
        PROXY.replace(":db", f":{'n' * 65}"),
        f"proxies.ini:1:1: [proxy:{'n' * 65}]: a name has at most 64 characters, found 65",
    ),
    (PROXY.replace(":db", ":"), "proxies.ini:1:1: [proxy:]: '' cannot be a name"),
    (PROXY + "listen = 127.0.0.1:1", "proxies.ini:5:1: 'listen' is given already in line 3"),
    (PROXY + "what is this", "proxies.ini:5:1: expected 'option = value', found 'what is this'"),
    (PROXY + "a: b", "proxies.ini:5:1: expected 'option = value', found 'a: b' ('=' and not ':'"),
    ("seed = 1\n", "proxies.ini:1:1: 'seed' stands before the first section, such as [rascal]"),
    ("[ ]\n", "proxies.ini:1:1: a section has a name without blanks at its ends: [proxy:db]"),
    ("[ a]\n", "proxies.ini:1:1: a section has a name without blanks at its ends: [a]"),
    ("[rascal\n", "proxies.ini:1:1: a section's name ends with ']' and stands alone: [proxy:db]"),
    (
        "[rascal]\nsed = 1",
        "proxies.ini:2:1: [rascal] has no option 'sed'; options: control, "
        "control_certificate, control_key, seed, hosts, compatible, conditional, tokens, recent, "
        "log, include. Did you mean 'seed'?",
    ),
    ("[rascal]\nseed = -1", "proxies.ini:2:8: seed is a whole number, found '-1'"),
    (
        "[rascal]\ncompatible = yes",
        "proxies.ini:2:14: compatible 'yes' is not known; allowed: loop",
    ),
    ("[rascal]\ntokens = boss x", "proxies.ini:2:10: write 'ROLE TOKEN'; roles: viewer, operator"),
    (
        "[rascal]\ncontrol = 0.0.0.0:1",
        "proxies.ini:2:11: the control API on 0.0.0.0:1 needs tokens",
    ),
    (
        "[rascall]\n",
        "proxies.ini:1:1: the section [rascall] is not known; allowed: [rascal], [proxy:"
        "NAME], [fault:PROXY/NAME], [script:PROXY/NAME], [roulette:PROXY/NAME], "
        "[recipe:PROXY/NAME]. Did you mean 'rascal'?",
    ),
    (
        "[proxy]\n",
        "proxies.ini:1:1: the section [proxy] is not known; allowed: [rascal], [proxy:NAM",
    ),
    (
        PROXY + "[fault:dbb/x]\nkind = hang",
        "proxies.ini:5:1: [fault:dbb/x]: there is no proxy 'dbb'; proxies: db. Did you mean 'db'?",
    ),
    (
        PROXY + "[fault:db]\nkind = hang",
        "proxies.ini:5:1: [fault:db]: name the proxy and the fault: [fault:PROXY/NAME]",
    ),
    (PROXY + "[fault:db/x]\nfor = 2s", "proxies.ini:5:1: [fault:db/x] lacks 'kind'"),
    (
        PROXY + "[fault:db/x]\nkind = dealy",
        "proxies.ini:6:8: kind 'dealy' is not known; allowed: del",
    ),
    (PROXY + "[fault:db/x]\nkind = delay\ndealy = 2s", None),
    (
        PROXY + "[fault:db/x]\nkind = delay\ndelay = 2",
        "proxies.ini:7:9: '2' has no unit: write 2s or",
    ),
    (PROXY + "[fault:db/x]\nkind = delay", "proxies.ini:6:8: delay lacks 'delay': how long"),
    (
        PROXY + "[fault:db/x]\nkind = hang\nname = y",
        "proxies.ini:7:1: 'name' has no meaning here: the section names the fault",
    ),
    (
        PROXY + "[fault:db/x]\nkind = hang\nmatch = n=3 and\n   key=1",
        "proxies.ini:8:4: mysql has no match field 'key'",
    ),
    (
        PROXY + "[fault:db/x]\nkind = hang\nat = reply",
        "proxies.ini:7:6: hang strikes no such moment",
    ),
    (
        PROXY + "[fault:db/x]\nkind = error\nerror = nonsense",
        "proxies.ini:7:9: mysql has no error 'n",
    ),
    (
        PROXY + "[fault:db/x]\nkind = hang\nfor = 1s\nuntil = end",
        "proxies.ini:8:1: 'until' has no me",
    ),
    (PROXY + "[script:db/x]\nmatch = n=1", "proxies.ini:5:1: [script:db/x] lacks 'steps'"),
    (
        PROXY + "[script:db/x]\nsteps = pass, hang for 2s",
        "proxies.ini:6:20: a step has no 'for' (only at, count)",
    ),
    (
        PROXY + "[script:db/x]\nsteps = pass\ncount = 3",
        "proxies.ini:7:1: [script:db/x] has no option 'count'; options: steps, match, enabled",
    ),
    (
        PROXY + "roulette = 60% hang, 50% hang",
        "proxies.ini:5:22: the shares of a roulette are togeth",
    ),
    (PROXY + "[roulette:db/x]\nenabled = yes", "proxies.ini:5:1: [roulette:db/x] lacks 'faults'"),
    (
        PROXY + "faults =\n  hang name a\n  empty name a",
        "proxies.ini:7:14: 'a' is the name of another fault of this proxy, proxies.ini:6",
    ),
    (
        PROXY + "faults = hang name a\n[script:db/a]\nsteps = hang",
        "proxies.ini:7:9: 'a' is the name of another fault",
    ),
    (
        PROXY.replace("127.0.0.1:3306", "${DB}:3306"),
        "proxies.ini:4:12: the environment has no 'DB'; for the plain text write $${DB}",
    ),
    (
        "[rascal]\ninclude = nothing.ini",
        "proxies.ini:2:11: 'nothing.ini' cannot be read: No such fil",
    ),
    ("[rascal]\ninclude = proxies.ini", "proxies.ini:2:11: 'proxies.ini' includes itself"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_said_about_a_wrong_file(read: Load, text: str, message: str | None) -> None:
    found = findings(read, text)
    if message is None:
        assert found
        return
    assert found[0][: len(message)] == message


def test_two_findings_about_one_missing_option(read: Load) -> None:
    assert findings(read, PROXY.replace("listen", "lisen")) == [
        "proxies.ini:1:1: [proxy:db] lacks 'listen': where clients connect: host:port, [v6]:port "
        "or unix:/path; several with commas",
        "proxies.ini:3:1: [proxy:db] has no option 'lisen'; options: protocol, listen, upstream, "
        "enabled, connect_timeout, mirror, proxy_protocol, backlog, tls, tls_name, tls_ca, "
        "tls_verify, tls_certificate, tls_key, negotiate, faults, roulette. Did you mean 'listen'?",
    ]


def test_all_findings_of_all_files_at_once(read: Load) -> None:
    main = (
        "[rascal]\nseed = x\ninclude = parts/*.ini\n" + PROXY + "faults =\n  dealy 2s\n  hang\n"
        "  delay 2\n  delay 1s match n=3 and\n    key=4\n  error(nonsense)\n"
    )
    other = "[proxy:cache]\nprotocol = redis\nlisten = 127.0.0.1\nupstream = a:1\nx = 1\n"
    found = findings(read, main, files={"parts/a.ini": other, "parts/b.ini": "junk\n"})
    assert [text.split(": ")[0] for text in found] == [
        "proxies.ini:2:8",
        "proxies.ini:9:3",
        "proxies.ini:11:9",
        "proxies.ini:13:5",
        "proxies.ini:14:9",
        "parts/a.ini:3:10",
        "parts/a.ini:5:1",
        "parts/b.ini:1:1",
    ]


def test_included_files_add_proxies_and_faults(read: Load) -> None:
    found = read(
        "[rascal]\ninclude = conf/*.ini, more.ini\n",
        files={
            "conf/a.ini": PROXY,
            "more.ini": "[rascal]\nseed = 7\n[fault:db/x]\nkind = hang\n",
        },
    )
    assert found.seed == 7
    assert found.files == ("proxies.ini", "conf/a.ini", "more.ini")
    assert found.proxies["db"].installed[0].path == "more.ini"


def test_an_option_or_a_proxy_of_two_files(read: Load) -> None:
    files = {"a.ini": "[rascal]\nseed = 7\ninclude = proxies.ini\n" + PROXY}
    found = findings(read, "[rascal]\nseed = 1\ninclude = a.ini\n" + PROXY, files=files)
    assert [text.partition(": ")[2] for text in found] == [
        "'seed' is set already, proxies.ini:2",
        "'proxies.ini' includes itself",
        "the proxy 'db' stands already in proxies.ini:4",
    ]


def test_a_text_stands_where_the_environment_has_nothing(read: Load) -> None:
    text = PROXY.replace("127.0.0.1:3306", "${DB:-127.0.0.1}:${PORT:-3306}")
    plain, given = read(text), read(text, environ={"PORT": "3308"})
    assert [str(one.proxies["db"].upstream) for one in (plain, given)] == [
        "127.0.0.1:3306", "127.0.0.1:3308",
    ]  # fmt: skip


def test_the_environment_keeps_columns_right(read: Load) -> None:
    text = PROXY + "faults =\n  error(deadlock, text='${LONG}') fro 2s\n"
    assert findings(read, text, environ={"LONG": "x" * 50}) == [
        "proxies.ini:6:35: expected ',' or one of match, at, direction, probability, per, skip, "
        "every, count, for, enabled, on_remove, name, found 'fro'. Did you mean 'for'?"
    ]
    found = read(PROXY + "faults = error(x, text='$${HOME} a{2}$ ${X}')", {"X": "${Y}"})
    assert found.proxies["db"].installed[0].phrases[0].option("text") == "${HOME} a{2}$ ${Y}"


def test_command_line_before_environment_before_file(read: Load) -> None:
    text = "[rascal]\nseed = 1\nrecent = 10\n"
    assert read(text).seed == 1
    assert read(text, {"RASCAL_SEED": "2"}).seed == 2
    found = read(text, {"RASCAL_SEED": "2"}, overrides={"seed": "3", "control": "off"})
    assert (found.seed, found.recent, found.control) == (3, 10, None)
    assert findings(read, text, environ={"RASCAL_SEED": "x"}) == [
        "the environment's RASCAL_SEED: seed is a whole number, found 'x'"
    ]


def test_tokens_open_the_control_api(read: Load) -> None:
    found = read(
        "[rascal]\ncontrol = 0.0.0.0:1\ntokens =\n  admin ${T}\n  viewer b c\n", {"T": "secret"}
    )
    assert [(token.role, token.secret) for token in found.tokens] == [
        ("admin", hash_token("secret")),
        ("viewer", hash_token("b c")),
    ]
    assert all(token.plain for token in found.tokens)
    assert "secret" not in repr(found)


def test_default_names_avoid_those_that_are_given(read: Load) -> None:
    found = read(
        PROXY + "faults =\n  hang\n  hang\n  hang name hang-2\n  recipe cold-cache for 60s\n"
        "  recipe cold-cache strength=20%\n"
    )
    names = [one.name for one in found.proxies["db"].installed]
    assert names == ["hang", "hang-3", "hang-2", "cold-cache", "cold-cache-2"]
    assert len(found.proxies["db"].faults) == 7


def test_an_unreadable_file_is_one_line(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load("nothing.ini", {}, registry=registry)
    assert str(caught.value) == "'nothing.ini' cannot be read: No such file or directory"
    (tmp_path / "bad.ini").write_bytes(b"[rascal]\n\xff\xfe")
    with pytest.raises(ConfigErrors, match="it is not UTF-8 text"):
        load(str(tmp_path / "bad.ini"), {}, registry=registry)
    with pytest.raises(ConfigErrors, match="cannot be read"):
        load(str(tmp_path), {}, registry=registry)
