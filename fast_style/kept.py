"""What Hydra writes into a run's folder before our code runs, kept for a run that is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException


class KeptConfiguration(Callback):
    """Remembers the configuration that a folder's earlier run has left in it.

    Named in configs/train.yaml as a callback of Hydra's, which replaces those files at once.
    """

    before: ClassVar[dict[Path, bytes]] = {}

    def on_run_start(self, config: DictConfig, **options: Any) -> None:
        """Read the files, if there are any; a sweep's runs have folders of their own."""
        self.before.clear()
        try:
            folder = Path(config.hydra.run.dir) / str(config.hydra.output_subdir)
            files = list(folder.glob("*.yaml"))
        except (OmegaConfBaseException, OSError):  # said when the run begins
            return
        for path in files:
            self.before[path.absolute()] = path.read_bytes()

    @classmethod
    def restore(cls) -> None:
        """Write them back: the run was refused, and the folder is still the earlier one's."""
        for path, content in cls.before.items():
            path.write_bytes(content)
        cls.before.clear()
