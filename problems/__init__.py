"""Families of problems; importing this package registers all of them.

It is imported as `t2t_multimodel.problems`. Under its bare name a second copy would register everything twice.
"""

if __name__ != "t2t_multimodel.problems":
    raise ImportError(f"{__name__!r} is no package of its own: import it as t2t_multimodel.problems")

from . import mini as mini
