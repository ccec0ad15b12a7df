"""``asr-adapt transcribe --live`` as a process of its own: pipes, Ctrl-C, a terminal, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import asr_adapt
from asr_adapt.audio import read_audio
from asr_adapt.cli.app import run
from asr_adapt.demo.synthesis import Synthesiser  # noqa: F401  (replaced below)
