#!/usr/bin/env bash
# Judges PREDICTIONS against BASELINE; job summary, JUnit, outputs. The verdict is a later step's: first the comment.
set -euo pipefail
mkdir -p "$FOLDER"
options=(--baseline "$BASELINE" --markdown "$FOLDER/gate.md")
read -ra by <<< "$BY"
read -ra accept <<< "$ACCEPT"
for field in ${by[@]+"${by[@]}"}; do options+=(--by "$field"); done
if [ "$UPDATE" = true ]; then
  options+=(--update --yes)
else
  options+=(--junit "$FOLDER/gate.xml")
  for name in ${accept[@]+"${accept[@]}"}; do options+=(--accept "$name"); done
  [ -z "$RISE" ] || options+=(--rise "$RISE")
  [ -z "$RULES" ] || options+=(--rules "$RULES")
fi
status=0
python -m asr_adapt gate "$PREDICTIONS" "${options[@]}" || status=$?
if [ -f "$FOLDER/gate.md" ]; then
  cat "$FOLDER/gate.md" >> "$GITHUB_STEP_SUMMARY"
else
  echo "### Error rate gate: exit status $status, see the log" | tee "$FOLDER/gate.md" >> "$GITHUB_STEP_SUMMARY"
fi
[ "$status" = 0 ] || echo "::error title=asr-adapt gate::$(sed -n '1s/^#* *//p' "$FOLDER/gate.md")"
{
  echo "status=$status"
  echo "passed=$([ "$status" = 0 ] && echo true || echo false)"
  echo "markdown=$FOLDER/gate.md"
  [ ! -f "$FOLDER/gate.xml" ] || echo "junit=$FOLDER/gate.xml"
} >> "$GITHUB_OUTPUT"
