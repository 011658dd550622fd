"""The load client: scenarios, profiles, statistics, agents. What a scenario file imports."""
