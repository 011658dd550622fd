"""Experiments: load, faults and a verdict on one clock."""
