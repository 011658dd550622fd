"""What Rascal knows of Redis commands: their flags, where their keys stand, how they answer.

The table is what `COMMAND` of Redis 7.0 says, one line for commands that have flags and key
positions in common, and the newer commands of 7.2 to 8.0 beside it. A command that is not in it
is relayed like any other; its first argument is taken for its key.

    flags   w write   r read-only   m denied when out of memory   b may block
            l allowed while loading   s allowed on a stale replica   y allowed while a script runs
            a allowed before AUTH     - none of these
    keys    1        the first argument      1..2  1..-1  1..-2  from argument A to argument B
            1..-1/2  every second one        #2    a count in argument 2, then so many keys
            1#2      argument 1 as well      streams  behind the word STREAMS, first half
            migrate  as MIGRATE has them     -     none
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

_TABLE = """
r 1: BITCOUNT BITFIELD_RO BITPOS DUMP EXPIRETIME GEODIST GEOHASH GEOPOS GEORADIUSBYMEMBER_RO
    GEORADIUS_RO GEOSEARCH GET GETBIT GETRANGE HEXISTS HEXPIRETIME HGET HGETALL HKEYS HLEN
    HMGET HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSTRLEN HTTL HVALS LINDEX LLEN LPOS LRANGE
    PEXPIRETIME PTTL SCARD SISMEMBER SMEMBERS SMISMEMBER SORT_RO SRANDMEMBER SSCAN STRLEN
    SUBSTR TTL TYPE XLEN XPENDING XRANGE XREVRANGE ZCARD ZCOUNT ZLEXCOUNT ZMSCORE ZRANDMEMBER
    ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK
    ZSCAN ZSCORE
wm 1: APPEND BITFIELD DECR DECRBY GEOADD GEORADIUS GEORADIUSBYMEMBER GETSET HEXPIRE HEXPIREAT
    HINCRBY HINCRBYFLOAT HMSET HPEXPIRE HPEXPIREAT HSET HSETEX HSETNX INCR INCRBY INCRBYFLOAT
    LINSERT LPUSH LPUSHX LSET PFADD PSETEX RESTORE RESTORE-ASKING RPUSH RPUSHX SADD SET SETBIT
    SETEX SETNX SETRANGE SORT XADD XSETID ZADD ZINCRBY
w 1: EXPIRE EXPIREAT GETDEL GETEX HDEL HGETDEL HGETEX HPERSIST LPOP LREM LTRIM MOVE PERSIST
    PEXPIRE PEXPIREAT RPOP SPOP SREM XACK XAUTOCLAIM XCLAIM XDEL XTRIM ZPOPMAX ZPOPMIN ZREM
    ZREMRANGEBYLEX ZREMRANGEBYRANK ZREMRANGEBYSCORE
- -: ACL ASKING BGREWRITEAOF BGSAVE CLIENT CLUSTER CONFIG FUNCTION LATENCY MODULE PFSELFTEST
    PING PSYNC PUBSUB SAVE SCRIPT SLOWLOG SYNC
ls -: COMMAND DEBUG ECHO EXEC INFO LASTSAVE MONITOR READONLY READWRITE ROLE SELECT TIME
ls 1: PUBLISH SPUBLISH
ls 1..-1: PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE UNSUBSCRIBE
r 1..-1: EXISTS MGET PFCOUNT SDIFF SINTER SUNION TOUCH
wm 1..2: COPY GEOSEARCHSTORE LMOVE RPOPLPUSH ZRANGESTORE
r -: DBSIZE KEYS LOLWUT RANDOMKEY SCAN
lsy -: DISCARD MULTI REPLCONF SHUTDOWN UNWATCH
r #1: SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION
lsya -: AUTH HELLO QUIT RESET
wb 1..-2: BLPOP BRPOP BZPOPMAX BZPOPMIN
wm 1..-1: PFMERGE SDIFFSTORE SINTERSTORE SUNIONSTORE
s #2: EVAL EVALSHA FCALL
rs #2: EVALSHA_RO EVAL_RO FCALL_RO
s -: FAILOVER REPLICAOF SLAVEOF
w -: FLUSHALL FLUSHDB SWAPDB
r 2: MEMORY OBJECT XINFO
w 1..2: RENAME RENAMENX SMOVE
wm 1#2: ZDIFFSTORE ZINTERSTORE ZUNIONSTORE
wmb 1..2: BLMOVE BRPOPLPUSH
wb #2: BLMPOP BZMPOP
w 1..-1: DEL UNLINK
w #1: LMPOP ZMPOP
wm 1..-1/2: MSET MSETNX
wm 2: PFDEBUG XGROUP
b -: WAIT WAITAOF
wm 2..-1: BITOP
r 1..2: LCS
w migrate: MIGRATE
lsy 1..-1: WATCH
rb streams: XREAD
wb streams: XREADGROUP
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its flags (see above) and the finder of its keys."""

    name: str
    flags: str
    keys: Callable[[Sequence[bytes]], Sequence[bytes]]


def _range(first: int, last: int, step: int) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    def keys(words: Sequence[bytes]) -> Sequence[bytes]:
        return words[first : (last + 1 if last >= 0 else len(words) + 1 + last) : step]

    return keys


def _counted(at: int, first: int = 0) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    def keys(words: Sequence[bytes]) -> Sequence[bytes]:
        count = words[at] if len(words) > at else b""
        found = list(words[first : first + 1]) if first else []
        if count.isdigit() and len(count) < 8:
            found.extend(words[at + 1 : at + 1 + int(count)])
        return found

    return keys


def _streams(words: Sequence[bytes]) -> Sequence[bytes]:
    for at, word in enumerate(words):
        if word.upper() == b"STREAMS":
            behind = words[at + 1 :]
            return behind[: (len(behind) + 1) // 2]
    return ()


def _migrate(words: Sequence[bytes]) -> Sequence[bytes]:
    if len(words) > 3 and words[3]:
        return words[3:4]
    for at in range(6, len(words)):
        if words[at].upper() == b"KEYS":
            return words[at + 1 :]
    return ()


def _none(words: Sequence[bytes]) -> Sequence[bytes]:
    return ()


def _finder(text: str) -> Callable[[Sequence[bytes]], Sequence[bytes]]:
    if text == "-":
        return _none
    if text in ("streams", "migrate"):
        return _streams if text == "streams" else _migrate
    if "#" in text:
        first, _, at = text.partition("#")
        return _counted(int(at), int(first or 0))
    span, _, step = text.partition("/")
    begin, _, end = span.partition("..")
    return _range(int(begin), int(end or begin), int(step or 1))


def _read(table: str) -> dict[str, Command]:
    commands: dict[str, Command] = {}
    for line in table.replace("\n    ", " ").split("\n"):
        how, _, names = line.partition(":")
        if not names:
            continue
        flags, keys = how.split()
        for name in names.split():
            commands[name] = Command(name, flags.replace("-", ""), _finder(keys))
    return commands


COMMANDS = _read(_TABLE)
UNKNOWN = Command("", "", _range(1, 1, 1))


def with_flag(flag: str) -> tuple[str, ...]:
    """The names of the commands that have this flag."""
    return tuple(name for name, command in COMMANDS.items() if flag in command.flags)


def without_flag(flag: str) -> tuple[str, ...]:
    """The names of the commands that have not."""
    return tuple(name for name, command in COMMANDS.items() if flag not in command.flags)


def keys_of(command: str, words: Sequence[bytes]) -> Sequence[bytes]:
    """The keys among the words of a request (words[0] is the command)."""
    return COMMANDS.get(command, UNKNOWN).keys(words)


def slot_of(key: bytes) -> int:
    """The cluster slot of a key: CRC16 of it, or of what stands in its first {…}, modulo 16384."""
    begin = key.find(b"{")
    if begin >= 0:
        end = key.find(b"}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc % 16384
