"""The shipped rewards: each a function of its parameters that returns a `Reward`, and says its range and its source.

`rewards.registry.SHIPPED` lists the names and says which module holds each.
"""
