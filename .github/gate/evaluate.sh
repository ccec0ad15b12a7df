#!/usr/bin/env bash
# Transcribes MANIFEST with MODEL, unless PREDICTIONS were made before; says where the predictions are.
set -euo pipefail
mkdir -p "$FOLDER"
if [ -z "$PREDICTIONS" ]; then
  if [ -z "$MODEL" ] || [ -z "$MANIFEST" ]; then
    echo "::error::asr-adapt gate needs the inputs model and manifest, or predictions."
    exit 2
  fi
  PREDICTIONS="$FOLDER/predictions.jsonl"
  read -ra options <<< "$OPTIONS"
  python -m asr_adapt evaluate "$MANIFEST" --model "$MODEL" -o "$PREDICTIONS" --fresh ${options[@]+"${options[@]}"}
fi
echo "predictions=$PREDICTIONS" >> "$GITHUB_OUTPUT"
