#!/usr/bin/env bash
# Pretrain on a Cloud TPU slice (spot), from your own machine: make it, set it up, train on all its
# hosts, make it anew when it is taken away, delete it in the end.
#
#   PROJECT=p ZONE=europe-west4-b STORE=gs://my-bucket/vit \
#     PACKAGE='vitctl[tpu,cloud] @ https://URL/OF/vitctl-0.1.0-py3-none-any.whl' \
#     examples/cloud-tpu/pretrain.sh
#
# vitctl is on no package index: PACKAGE says where its wheel (`pip wheel --no-deps .`) or a Git
# repository of it (`@ git+https://...`) lies.
#
# jax asks the TPU's metadata server for the other hosts: there is nothing to configure. The store is
# in a bucket of the slice's region, and outlives the slice; each host copies the shards to its disk
# and sends its part of a checkpoint (docs/guide/cloud.md). So do the compiled programs, which a new
# slice then need not compile again.
set -uo pipefail

: "${PROJECT:?}" "${ZONE:?}" "${STORE:?gs://BUCKET/PATH of the store}"
: "${TPU:=vitctl}" "${TYPE:=v5litepod-16}" "${RUNTIME:=v2-alpha-tpuv5-lite}"
: "${PACKAGE:?where vitctl lies: vitctl[tpu,cloud] @ URL of a wheel}"
: "${DATA:=latest}" "${MODEL:=L16}" "${STEPS:=100k}" "${BATCH:=4096}" "${SAVE:=1000}"
: "${RETRIES:=20}" "${WAIT_S:=60}" "${COMPILED:=${STORE%/}-compiled}"

tpu() { gcloud compute tpus tpu-vm "$@" --project "$PROJECT" --zone "$ZONE"; }
everywhere() { tpu ssh "$TPU" --worker=all --command "$1"; }
state() { tpu describe "$TPU" --format 'value(state)'; }

make_slice() {
  tpu delete "$TPU" --quiet 2>/dev/null
  tpu create "$TPU" --accelerator-type "$TYPE" --version "$RUNTIME" --spot
}

# The images' own Python may be 3.10, and vitctl needs 3.11: uv brings it. Once all is there this
# takes a second, so each attempt repairs what the one before left half done. Debian's Python 3.12
# refuses --user without the variable; an older pip does not know it.
install() {
  everywhere "{ [ -x ~/.local/bin/uv ] || \
    PIP_BREAK_SYSTEM_PACKAGES=1 python3 -m pip install -q --user uv; } && \
    ~/.local/bin/uv venv -q --allow-existing --python 3.11 ~/.vitctl && \
    ~/.local/bin/uv pip install -q --python ~/.vitctl/bin/python '$PACKAGE'"
}

train() {
  everywhere "VITCTL_STORE=$STORE JAX_COMPILATION_CACHE_DIR=$COMPILED ~/.vitctl/bin/vitctl pretrain \
    --data $DATA --model $MODEL --steps $STEPS --batch $BATCH --checkpoint-every $SAVE"
}

# However this ends: a slice that is not deleted costs.
farewell() {
  local found
  found=$(state 2>&1) || case "$found" in
    *NOT_FOUND*) return ;;
    *) found="its state is not known: $found" ;;
  esac
  echo "the slice $TPU is still there ($found), and costs while it runs" >&2
  echo "hint: gcloud compute tpus tpu-vm delete $TPU --project $PROJECT --zone $ZONE" >&2
}
trap farewell EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

again() {
  echo "$1; trying again in $WAIT_S s" >&2
  sleep "$WAIT_S"
}

for _ in $(seq "$RETRIES"); do
  if [ "$(state 2>/dev/null)" != READY ] && ! make_slice; then
    again "no slice was made"
    continue
  fi
  if ! install; then
    again "vitctl is not installed on all hosts"
    continue
  fi
  train
  code=$?
  case "$code" in
    0)
      tpu delete "$TPU" --quiet
      exit 0
      ;;
    # Errors that another try would not change (docs/guide/exit-codes.md). The slice stays, to look.
    2 | 3 | 4 | 5 | 6 | 11) exit "$code" ;;
    # 10: interrupted after saving. Others: the connection or the slice is gone; what is saved stays.
    *) again "exit $code" ;;
  esac
done
echo "given up after $RETRIES attempts; the same command goes on from what is saved" >&2
exit 10
