"""The `judge:` section: a model that says how good replies are."""

from configs.schema.sections import Positive, SamplingConfig, Section, ServerConfig

RUBRIC = (
    "Is it right, and does it agree with the reference answer where there is one? Does it answer what is asked, whole "
    "and without what was not asked? Is it clear, and in the question's language? A longer reply is no better for it."
)


class JudgeConfig(Section):
    """A judge behind an OpenAI-compatible server; also the whole of a file for `mull compare --judge`."""

    server: ServerConfig
    rubric: str = RUBRIC
    """What makes a reply good; it is put to the judge as it stands, in any language."""
    max_tokens: Positive = 1024
    """Longest judgement, its thinking included."""
    sampling: SamplingConfig = SamplingConfig(temperature=0.0)
    seed: int = 0
    """Of sampling."""
