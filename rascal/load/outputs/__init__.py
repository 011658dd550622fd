"""What a run leaves behind, and what it tells others while it goes on.

`html` and `junit` write a run that has ended, or as far as it has come, from a `source.Source`: the
run store, or the results of this process (JSON, CSV and the HdrHistogram log are in `rascal.store`
and `rascal.load.hdrlog`). `metrics` are the numbers of a run that goes on, for Prometheus and
OpenTelemetry. Nothing in here is imported unless it was asked for.
"""
