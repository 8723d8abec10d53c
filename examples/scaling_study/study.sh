#!/usr/bin/env bash
# A scaling study on data that anyone can have: pictures made by formulas, probed on other families and on
# scikit-learn's real digits; then the law, its figures, and one page. Every step is a vitctl command, so the same
# call continues where one was stopped.
#
#   pip install '.[demo,report]' && bash examples/scaling_study/study.sh [FOLDER] [FLAGS OF vitctl sweep]
#
#   ... study.sh artifacts/study --dry-run         every run with its predicted cost
#   ... study.sh artifacts/study --part 1/4        a part; without it all parts are gathered
#   ... study.sh artifacts/study --claims          the small grids of claims/, a quarter of an hour each
#   ... study.sh artifacts/study --claims=heads    one of them
#   CLASSES=200 PER_CLASS=5000 ... --set 'sizes=["16k","64k","256k","all"]' --set durations.images='["1M","4M","16M","64M"]'
#                                                  on a GPU
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
if [ $# -gt 0 ] && [[ "$1" != -* ]]; then
  export VITCTL_STORE="$1"
  shift
else
  export VITCTL_STORE="${VITCTL_STORE:-artifacts/study}"
fi
: "${CLASSES:=20}" "${PER_CLASS:=800}" "${PROBE_CLASSES:=20}" "${SIDE:=32}"
say() { printf '\n\033[1m%s\033[0m\n' "$*" >&2; }

# The grids, and the flags of vitctl sweep.
grids=() flags=() dry=""
for flag in "$@"; do
  case "$flag" in
    --claims) grids+=("$here"/claims/*.toml) ;;
    --claims=*)
      grids+=("$here/claims/${flag#*=}.toml")
      if [ ! -e "$here/claims/${flag#*=}.toml" ]; then
        echo "there is no grid ${flag#*=} in $here/claims: $(cd "$here/claims" && echo *.toml)" >&2
        exit 2
      fi
      ;;
    *) flags+=("$flag") ;;
  esac
  [ "$flag" != --dry-run ] || dry=yes
done

say "1. Pictures: contours to train on, two other families and real digits to probe on"
data=$(vitctl shard formula --family contour --classes "$CLASSES" --per-class "$PER_CLASS" --val-per-class 25 --res "$SIDE" \
  --name contour)
for family in atom fractal; do
  vitctl shard formula --family "$family" --classes "$PROBE_CLASSES" --per-class 20 --val-per-class 20 --res "$SIDE" \
    --name "$family" >&2
done
vitctl shard digits --val-fraction 0.3 --workers 0 --name real-digits >&2

if [ ${#grids[@]} -gt 0 ]; then
  # Another seed is other classes.
  vitctl shard formula --family contour --seed 1 --classes "$PROBE_CLASSES" --per-class 20 --val-per-class 20 --res "$SIDE" \
    --name new-contours >&2
  tables=()
  for grid in "${grids[@]}"; do
    name="$(basename "$grid" .toml)"
    say "2. $name"
    if [ -n "$dry" ]; then
      vitctl sweep "$grid" --data "$data" --name "$name" ${flags[@]+"${flags[@]}"}
    else
      tables+=("$(vitctl sweep "$grid" --data "$data" --name "$name" ${flags[@]+"${flags[@]}"})")
    fi
  done
  [ -z "$dry" ] || exit 0
  say "3. Their tables, and a page"
  python3 "$here/tables.py" "${tables[@]}" >&2
  vitctl report "${tables[@]}" --no-parents --title "Claims of the paper" --out "$VITCTL_STORE/claims.html" --force
  exit
fi

say "2. The grid"
if [ -n "$dry" ]; then
  exec vitctl sweep "$here/grid.toml" --data "$data" --name study ${flags[@]+"${flags[@]}"}
fi
study=$(vitctl sweep "$here/grid.toml" --data "$data" --name study ${flags[@]+"${flags[@]}"})
python3 "$here/tables.py" "$study" >&2

say "3. The law, its figures, and a page"
results=("$study")
# On held-out pictures of the family that is trained on: at this size little transfers to the others.
# A grid that was made smaller may have too few runs for a law, or none; then the error says so.
if fit=$(vitctl scaling fit "$study" --accuracy top1); then
  vitctl scaling plot "$fit"
  results+=("$fit")
fi
vitctl report "${results[@]}" --no-parents --title "A scaling study" --out "$VITCTL_STORE/study.html" --force
