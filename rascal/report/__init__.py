"""Reports as one HTML file each: plots, tables and the page around them.

`plots` turns numbers into drawings, `tables` into tables, `page` writes the file: without a server,
without anything from elsewhere, light and dark, on paper and on a telephone. What a report is about
stands nowhere in here.
"""
