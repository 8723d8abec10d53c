#!/usr/bin/env bash
# The published law from its own points: fits of the paper's JFT and ImageNet-21k runs, what to
# train next for two budgets, and every figure. Needs no images and no accelerator; half a minute.
#   pip install '.[report]' && bash examples/scaling/paper.sh [FOLDER]
set -euo pipefail
export VITCTL_STORE="${1:-artifacts/paper}"
here="$(cd "$(dirname "$0")" && pwd)"
runs=(--compute tpuv3_core_days --compute-unit "TPUv3 core-days")

# ImageNet 10-shot over JFT: error = 0.63 (C + 0.52)^-0.32 + 0.126.
fit=$(vitctl scaling fit "$here/paper_fewshot.csv" "${runs[@]}" --accuracy inet10 \
  --compare Ti/16:L/16 --budget 5000 --budget 50000)
vitctl scaling plot "$fit"

# ImageNet-21k: a few lucky runs fool the running minimum there; the hull does not follow them.
vitctl scaling fit "$here/paper_i21k.csv" "${runs[@]}" --error inet10_error_pct \
  --frontier hull --space log | vitctl scaling plot

# Weight decay of head and body.
vitctl scaling plot "$here/paper_decay.csv" --accuracy inet5 --figure weight-decay
