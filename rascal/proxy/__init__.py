"""The data path: from accepted bytes to forwarded bytes, with faults in between.

Pure (bytes, a clock that is handed in, an end's small interface): exchange, relay, connection,
gate. Sockets and Twisted: ends, hangups, tls, listener, dialler, node.
"""
