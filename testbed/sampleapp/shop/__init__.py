"""A small shop, the application of the testbed; see README.md beside this package.

It runs as five programs: `python -m shop.web`, `shop.worker`, `shop.office`, `shop.payment` and
`shop.mail`. What it does when something fails is decided by SHOP_MODE: `shop/fragile/` holds the
usual mistakes, `shop/resilient/` the mend of each, in modules of the same names.
"""
