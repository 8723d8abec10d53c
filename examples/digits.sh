#!/usr/bin/env bash
# The whole craft on 1,797 real handwritten digits (scikit-learn's): pretrain on the digits 0 to 5,
# cool down twice off one trunk, probe and fine-tune, each step a vitctl command.
#
# Two cores, no accelerator: minutes. `just demo` runs it; so does
#   pip install '.[demo]' && bash examples/digits.sh [FOLDER]
set -euo pipefail
export VITCTL_STORE="${1:-artifacts/demo}"
here="$(cd "$(dirname "$0")" && pwd)"
# Lengths in steps, to be changed from outside.
: "${TRUNK:=450}" "${SHORT:=50}" "${LONG:=200}" "${EPOCHS:=20}"
say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

say "1. Images -> datasets: the digits 0-5, the held-out 6-9, and all ten"
seen=$(vitctl shard digits --classes 0-5 --val-fraction 0.3 --workers 0 --name seen)
held_out=$(vitctl shard digits --classes 6-9 --val-fraction 0.3 --workers 0 --name held-out)
all=$(vitctl shard digits --val-fraction 0.3 --workers 0 --name all)

say "2. Pretrain a small ViT on 0-5, on a schedule without an end"
trunk=$(vitctl pretrain --data "$seen" --config "$here/digits.toml" --steps "$TRUNK" --name trunk)

say "3. Two cooldowns of different length off the same trunk"
short=$(vitctl cooldown --from "$trunk" --steps "$SHORT")
long=$(vitctl cooldown --from "$trunk" --steps "$LONG")

say "4. Few-shot probes: classes it has seen, classes it has not, and two baselines"
printf '%s\n' "$short" "$long" \
  | vitctl fewshot --data "$seen" --data "$held_out" --shots 1,5,10 \
    --features model,pixels,untrained >"$VITCTL_STORE/probes.txt"

say "5. Fine-tune on all ten digits, hardly cropped, then score"
vitctl finetune --from "$long" --data "$all" --epochs "$EPOCHS" --lr 0.1 --eval-every 0 \
  --set data.augment.area_min=0.8 \
  | vitctl evaluate --data "$all" >"$VITCTL_STORE/evaluation.txt"

say "6. What came out"
python3 "$here/digits_table.py" "$VITCTL_STORE/probes.txt" "$VITCTL_STORE/evaluation.txt"
