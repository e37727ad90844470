"""Time layers and networks that use the zeros of phi(h) against dense ones, and record it.

    python tools/measure_sparse_inference.py

writes ``results/sparse-inference/PROCESSOR-1-thread.json``, in some minutes and 4 GB of memory.
``python tools/write_sparse_inference.py`` then renews the page about it.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch
from rich.console import Console

from torch_models.measurements.sparse_inference import measure
from torch_models.records.files import ensure_writable, write_record

RECORDS = Path(__file__).parents[1] / "results" / "sparse-inference"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads that torch uses")
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    ensure_writable(RECORDS)
    with Console(stderr=True).status("") as status:
        record = measure(on_step=status.update)
    processor = record["provenance"]["hardware"]["processor"]
    slug = re.sub(r"[^a-z0-9]+", "-", processor.lower()).strip("-")
    path = RECORDS / f"{slug}-{threads}-thread{'s' * (threads > 1)}.json"
    command = f"python tools/measure_sparse_inference.py --threads {threads}"
    write_record(path, {"command": command, **record})
    print(f"recorded in {path}")


if __name__ == "__main__":
    main()
