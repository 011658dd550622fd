"""The load client: scenarios, profiles, statistics, agents. What a scenario file imports.

Light on purpose: nothing here imports Twisted.
"""

from rascal.load.feeders import Feeder, data_file, feeder
from rascal.load.hooks import once_per_agent, once_per_run, once_per_user
from rascal.load.parameters import Option
from rascal.load.scenario import Scenario, scenario

__all__ = [
    "Feeder",
    "Option",
    "Scenario",
    "data_file",
    "feeder",
    "once_per_agent",
    "once_per_run",
    "once_per_user",
    "scenario",
]
