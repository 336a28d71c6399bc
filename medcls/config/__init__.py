"""What a config file may say, and how it is read."""

from medcls.config.reading import config_schema, config_text, dump_config, load_config, validate_config
from medcls.config.settings import PARTITIONS, Config, Partition

__all__ = [
    "PARTITIONS",
    "Config",
    "Partition",
    "config_schema",
    "config_text",
    "dump_config",
    "load_config",
    "validate_config",
]
