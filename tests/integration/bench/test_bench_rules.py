"""`bench rules`, small: all sides run, agree, and every figure is there. Its figures say nothing at this size, and nothing is asserted of them."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.running import ROOT


def test_all_sides_find_the_same_and_every_figure_is_told():
    command = (sys.executable, "-m", "services.cli", "bench", "rules", "--quick", "--n", "20000")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=230, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["reasons"] == {}
    assert told["agreed"] is True
    assert told["warnings"] > 0
    assert [key for key, value in told.items() if value is None] == []
