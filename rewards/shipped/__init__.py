"""The shipped rewards, one file each: a function of its parameters that returns a `Reward`.

Each file says its range and its source; `rewards.registry` lists the names.
"""
