"""Puts proxies in front of what an application needs, without touching the application's files.

    compose files ─► reading ─► Project ─► recognising ─► planning ─► Wrap ─► composing, inifile
    words (db=mysql://10.0.0.5:3306) ─► words ─────────────────────► Words ─► inifile

Nothing here talks to Docker: a file is read, and a file is written. The file that is written is
complete in itself, because merging (`-f a -f b`) can add a network to a service but take none
away, and a backend has to leave the network on which its name is to be the proxy's.
"""
