"""``python -m torch_models`` is the command ``sparsity-theory``."""

from torch_models.commands.main import main

main()
