"""The panel: pages over the control API, the load client, experiments and the run store.

It has no logic of its own. Faults are changed through the nodes' control API; runs are processes of
their own (`rascal load run`, `rascal experiment run`) which the panel starts, and follows through
the run store, so a panel that dies or is restarted loses nothing of them.
"""
