"""What several processes can't do, said before torch is imported."""

from configs.errors import ConfigError
from configs.launch import Launch, launch_of
from configs.schema.training import TrainingConfig
from models.backend import choose_backend, has_gpu

NEVER_RUN = {
    "FSDP1": "FSDP 1 was never run here; set fsdp_version: 2, as in configs/accelerate/fsdp2.yaml",
    "ZeRO-3": "ZeRO-3 was never run here; FSDP2 shares out as much: configs/accelerate/fsdp2.yaml",
}


def check_launch(config: TrainingConfig, launch: Launch | None = None) -> None:
    """Raise `ConfigError` for a recipe that the processes which were started can't train together."""
    launch = launch or launch_of()
    for name in ("fsdp", "deepspeed"):
        if config.trainer.get(name):
            raise ConfigError(
                f"trainer.{name}: the launcher says what processes share out; leave it out and run "
                "`accelerate launch --config_file configs/accelerate/fsdp2.yaml …`, or with another file there"
            )
    choice = choose_backend(config.model, config)
    if launch.splits_weights and choice.precision in ("nf4", "int8"):
        raise ConfigError(
            f"model.precision: {launch.sharding} can't share out {choice.precision} weights, which are packed into "
            "bytes; take DDP or ZeRO-2, where each process holds them all, or model.precision=bf16"
        )
    if launch.splits_weights and choice.backend == "unsloth":
        raise ConfigError(
            f"model.backend: Unsloth trains whole weights, and {launch.sharding} shares them out; set "
            "model.backend=transformers, or take DDP"
        )
    if launch.sharding in NEVER_RUN:
        raise ConfigError(f"accelerate: {NEVER_RUN[launch.sharding]}")
    if launch.sharding and not has_gpu():
        raise ConfigError(
            f"accelerate: without a GPU it leaves {launch.sharding} out, and each process would hold everything; take "
            "configs/accelerate/ddp_cpu.yaml"
        )
