"""The options of proxies.ini itself: the service's, a proxy's, and those of the long forms.

A proxy's section takes these options and those that its protocol declares.
"""

from __future__ import annotations

from rascal.options import Option, OptionTable

SERVICE = OptionTable(
    Option(
        "control",
        "address",
        "where the control API listens, or off",
        default="127.0.0.1:8474",
    ),
    Option("control_certificate", "text", "file of the control API's certificate (PEM): HTTPS"),
    Option("control_key", "text", "file of its key (PEM), unless the certificate's holds it"),
    Option("seed", "count", "the seed of all draws; without it each start draws its own"),
    Option("hosts", "text", "further Host names under which the control API may be called"),
    Option(
        "compatible",
        ("loopback", "open", "off"),
        "who may use the Toxiproxy-compatible API without a token: loopback only, everyone, nobody",
        default="loopback",
    ),
    Option(
        "conditional",
        ("optional", "required"),
        "whether changes must say If-Match, so that operators do not overwrite each other",
        default="optional",
    ),
    Option(
        "tokens",
        "text",
        "who may use the control API, one 'ROLE TOKEN' or 'ROLE sha256:HEX NAME' a line; "
        "roles: viewer, operator, admin",
    ),
    Option(
        "recent",
        "count",
        "so many of a proxy's latest exchanges are kept for listings",
        default=1000,
        maximum=100_000,
    ),
    Option(
        "log",
        ("text", "json"),
        "how the log is written: for people, or one JSON object a line; from the next start on",
        default="text",
    ),
    Option("include", "text", "further files, one a line; relative to this file; * is allowed"),
)
"""The options of [rascal]."""

PROXY = OptionTable(
    Option("protocol", "name", "what is spoken here (rascal protocols)", required=True),
    Option(
        "listen",
        "address",
        "where clients connect: host:port, [v6]:port or unix:/path; several with commas",
        required=True,
    ),
    Option(
        "upstream",
        "endpoint",
        "the real server: host:port, [v6]:port, unix:/path or a Twisted endpoint string",
        required=True,
    ),
    Option("enabled", "flag", "whether it listens", default=True),
    Option(
        "connect_timeout",
        "duration",
        "how long the upstream may take to accept a connection",
        default=10.0,
        minimum=0.001,
        maximum=600.0,
    ),
    Option(
        "mirror",
        "flag",
        "show the client how dialling failed: refused as RST, a time-out as silence; "
        "without it the connection is closed",
        default=True,
    ),
    Option(
        "proxy_protocol",
        ("off", "v1", "v2"),
        "tell the upstream the client's address by HAProxy's PROXY protocol",
        default="off",
    ),
    Option(
        "backlog",
        "positive",
        "connections that may wait to be accepted",
        default=1024,
        maximum=65535,
    ),
    Option("tls", ("off", "originate"), "speak TLS to the upstream", default="off"),
    Option("tls_name", "text", "the name that the upstream's certificate must have; SNI"),
    Option("tls_ca", "text", "file of the authorities to trust (PEM); without it the system's"),
    Option("tls_verify", "flag", "check the upstream's certificate", default=True),
    Option("tls_certificate", "text", "file of our own certificate for the upstream (PEM)"),
    Option("tls_key", "text", "file of its key (PEM)"),
)
"""The options of [proxy:NAME], besides the protocol's own, `faults` and `roulette`."""

LISTENER = ("listen", "backlog", "enabled")
"""Options of a proxy whose change needs another listener; the rest concerns new connections."""

INSTALLED = OptionTable(
    Option("faults", "text", "faults, one a line; each has its own draw"),
    Option("roulette", "text", "faults of which one draw strikes at most one"),
)

SCRIPT = OptionTable(
    Option("steps", "text", "what happens to the matching exchanges in turn, one a line"),
    Option("match", "text", "which exchanges it takes"),
    Option("enabled", "flag", "whether it is armed", default=True),
)
"""The options of [script:PROXY/NAME]."""

ROULETTE = OptionTable(
    Option("faults", "text", "faults with their shares, one a line", required=True),
    Option("enabled", "flag", "whether it is armed", default=True),
)
"""The options of [roulette:PROXY/NAME]."""

FORMS = (
    "[rascal]",
    "[proxy:NAME]",
    "[fault:PROXY/NAME]",
    "[script:PROXY/NAME]",
    "[roulette:PROXY/NAME]",
    "[recipe:PROXY/NAME]",
)
"""The sections that there are."""
