"""Faults: what goes wrong, which exchanges it strikes, and the books that prove it.

A kind of fault is a subclass of `rascal.faults.types.Kind` in a module of this package, or one
(the class, an instance, or a module that holds some) that another distribution names in its
entry points:

    [project.entry-points."rascal.faults"]
    bad_day = "rascal_bad_day:BadDay"

types      what a kind is, and the closed set of acts it may want
listener, connections, holds, cuts, losses, shaping, replies, limits
           the kinds, by family
recipes    sets of faults that imitate one incident
matching   conditions compiled to a function
build      sentences to specifications (spec), with everything that only a builder can check
fault      an installed fault: decisions, counters; draw: chance as a pure function

Pure: no sockets, no clock, no chance but what is handed in.
"""
