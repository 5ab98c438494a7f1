"""Tests of the client. Those of node.py need a running node, as node/sdk_test.go starts one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
