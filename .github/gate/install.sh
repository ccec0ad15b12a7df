#!/usr/bin/env bash
# Installs asr-adapt from the action's own checkout, with torch for CPUs where no torch is there yet.
set -euo pipefail
if ! python -c 'import torch' 2>/dev/null && [ "$(uname -s)" = Linux ]; then
  python -m pip install --quiet torch --index-url https://download.pytorch.org/whl/cpu
fi
python -m pip install --quiet "asr-adapt${EXTRAS:+[$EXTRAS]} @ file://$SOURCE"
python -m asr_adapt --version
