"""The typed, strict schema of every recipe: shared sections, then one config per command.

Only what a shipped recipe turns is a field. What TRL's own configs hold is not mirrored: `trainer:` goes to
`GRPOConfig` or `SFTConfig` as it is, after `configs.schema.trl_fields` has checked its names and types.
"""
