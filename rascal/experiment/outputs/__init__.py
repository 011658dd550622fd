"""What an experiment leaves behind: a page, JSON, JUnit XML, Markdown, two of them side by side.

All of it is made of a stored run alone: `gather(reader, run)` reads it and judges it again, which
gives the verdict that it had. Nothing in here is imported unless it was asked for.
"""
