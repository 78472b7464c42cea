"""What an engine generated as a sample, or as a probe of the thinking; not yet graded."""

from dataclasses import replace
from typing import TYPE_CHECKING

from configs.sample import Sample
from evaluation.plan import Task
from evaluation.votes import answer_logprob
from rewards.grading.grade import extracted_answer

if TYPE_CHECKING:
    from models.engines.base import Engine
    from models.engines.generation import Generation


def sample_of(task: Task, generation: "Generation", engine: "Engine", tries: int = 1) -> Sample:
    """A generation as a sample, not yet graded."""
    from models.engines.generation import forced_characters, result_characters, spans

    prefill = engine.think_format.prefill
    return Sample(
        id=task.problem.id,
        point=task.label,
        sample=task.sample,
        question=task.problem.question,
        gold=task.problem.answer,
        references=task.problem.references,
        grader=task.problem.grader,
        text=prefill + generation.text,
        prefilled=len(prefill),
        forced=tuple(forced_characters(generation, engine.tokenizer, prefill)),
        tool_results=tuple(result_characters(generation, engine.tokenizer, prefill)),
        thinking=generation.thinking,
        answer=generation.answer,
        extracted=extracted_answer(task.problem, engine.turn(generation), engine.think_format),
        stop=generation.stop,
        finish=generation.finish,
        completion_tokens=len(generation.token_ids),
        thinking_tokens=generation.thinking_tokens,
        max_thinking=task.budget.max_thinking if task.budget else None,
        answer_tokens=generation.answer_tokens,
        probe_tokens=generation.probe_tokens,
        answer_logprob=answer_logprob(generation, engine.eos),
        token_ids=generation.token_ids,
        forced_tokens=tuple(spans(generation.forced)),
        seed=task.seed,
        key=task.key,
        prompt_hash=task.prompt_hash,
        control=generation.control,
        tries=tries,
        seconds=round(generation.seconds, 3),
    )


def probe_of(task: Task, generation: "Generation", engine: "Engine") -> Sample:
    """A probe as a sample that holds its answer alone: the thinking before it is the longest point's."""
    from models.engines.generation import decode

    ids, forced = generation.token_ids, generation.forced
    end = len(ids) - (ids[-1] in engine.eos)
    first = end - generation.answer_tokens
    chosen = [ids[at] for at in range(first, end) if not forced[at]]  # without the text that every probe appends
    return replace(
        sample_of(task, generation, engine),
        text=decode(engine.tokenizer, ids[first:]),
        prefilled=0,
        forced=(),
        thinking="",
        answer=decode(engine.tokenizer, chosen).strip(),
        token_ids=ids[first:],
        forced_tokens=(),
        completion_tokens=len(ids) - first,
        thinking_tokens=task.probe,
    )
