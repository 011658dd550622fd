"""All limits in one place: seconds, unless the name says otherwise.

The shop promises an answer within a second. So a request has 0.7 s, and whatever it is waiting for
when they are over ends soon after.
"""

REQUEST = 0.7

DATABASE_CONNECT = 0.3
DATABASE_STATEMENT = 0.5
DATABASE_POOL = 0.15  # waiting for a connection
DATABASE_CONNECTIONS = {"reads": 10, "orders": 10}  # in each lane, and never more
DATABASE_AGE = 60.0  # after which a connection is replaced

CACHE = 0.15
CACHE_KEEPS = 3600  # how long memcached keeps what may have gone stale
CACHE_REMEMBERS = 2000  # values that the process keeps for itself

PAYMENT_CONNECT = 0.3
PAYMENT = 0.4
PAYMENT_AT_ONCE = 8

QUEUE = 0.2
MAIL = 2.0

NAMES = 1.0  # for the very first answer; after that nobody waits
NAMES_REFRESH = 2.0
NAMES_PROBE = 0.3

# Requests inside at a time, by lane. Together they leave threads free for quick answers.
DOORS = {"pages": 9, "carts": 6, "orders": 8, "status": 3}
DOOR_WAIT = 0.15  # for a place: a hiccup is no reason to turn people away

BREAKER_WINDOW = 20  # the last so many calls
BREAKER_FAILURES = 5  # of them, and half of all
BREAKER_PAUSE = 1.0

RETRY_SHARE = 0.1  # of all calls
RETRY_BURST = 5

SETTLE_AFTER = 5.0  # when a pending order is given up, and a job that was not done told again
MAIL_PAUSE_MAX = 30
