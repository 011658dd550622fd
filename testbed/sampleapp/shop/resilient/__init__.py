"""The mends, one a module, each for the mistake in the module of the same name in shop/fragile/.

What they share is in guards.py; all times and sizes are in limits.py.
"""
