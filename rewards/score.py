"""What a recipe's rewards make of completions from a file, with the reason for each score.

    python -m rewards.score --config gsm8k.yaml --text completions.jsonl [key.path=value …]
    … | python -m rewards.score --config gsm8k.yaml --text -

Each row (a line of JSON, or any other file that `data.rows` reads) has the completion (`text`, `completion`,
`response` or `output`) and its gold answer (`gold`, `answer` or `ground_truth`), and may have `question`, `id`,
`options`, `grader`, `references` (a list of all right replies), `completion_ids`, `completion_tokens`,
`thinking_tokens` and `max_thinking` (the budget): a run's `rollouts.jsonl` will do. Where `id` and `question` are
those of a problem that the recipe generates, or reads from a file, the row is graded as that problem. A completion may
be a list of messages, as TRL has it: the last one counts. Without token counts, words are counted.
"""

from configs.command import recipe_parser, run_command


def main(argv: list[str]) -> None:
    """Parse the command line and score."""
    parser = recipe_parser("rewards.score", "grpo", "Score completions from a file.")
    parser.add_argument("--text", required=True, help="JSONL file of completions, or - for stdin")
    args = parser.parse_intermixed_args(argv)

    from configs.recipe import load_recipe
    from rewards.score_table import print_scores

    print_scores(load_recipe("grpo", args.config, args.overrides), args.text)


if __name__ == "__main__":
    run_command(main)
