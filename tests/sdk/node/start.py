"""Runs a command with a gateway beside it; APLOMB_URL says where."""

import os
import subprocess
import sys

from gateway import gateway

with gateway() as running:
    code = subprocess.run(sys.argv[1:], env={**os.environ, "APLOMB_URL": running.url}).returncode
sys.exit(code)
