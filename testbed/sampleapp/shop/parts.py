"""The parts that fail differently: each is a module of shop/fragile/ and of shop/resilient/.

names      install(): how names become addresses
database   run(work, lane): calls work(session) in a transaction
cache      through(key, seconds, make) -> (value, stale)
payments   charge(reference, cents, key) -> number of the charge
checkout   place(cart, token) -> number of the order
queue      push(order) or put(session, order); status(order) -> (word, reduced)
jobs       fulfil(order): what the worker does
mail       send(order), or send_due(): letters
doors      through(lane): who may come in, and for how long
chores     work(): how the worker lives, and what it does beside its jobs
"""

from importlib import import_module

from shop.settings import MODE

names = import_module(f"shop.{MODE}.names")
database = import_module(f"shop.{MODE}.database")
cache = import_module(f"shop.{MODE}.cache")
payments = import_module(f"shop.{MODE}.payments")
queue = import_module(f"shop.{MODE}.queue")
mail = import_module(f"shop.{MODE}.mail")
checkout = import_module(f"shop.{MODE}.checkout")
jobs = import_module(f"shop.{MODE}.jobs")
doors = import_module(f"shop.{MODE}.doors")
chores = import_module(f"shop.{MODE}.chores")
