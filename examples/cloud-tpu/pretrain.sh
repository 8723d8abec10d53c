#!/usr/bin/env bash
# Pretrain on a Cloud TPU slice (spot), from your own machine: make it, set it up, train on all its
# hosts, make it anew when it is taken away, delete it in the end.
#
#   PROJECT=p ZONE=europe-west4-b STORE=gs://my-bucket/vit examples/cloud-tpu/pretrain.sh
#
# jax asks the TPU's metadata server for the other hosts: there is nothing to configure. The store is
# in a bucket of the slice's region, and outlives the slice; each host copies the shards to its disk
# and sends its part of a checkpoint (docs/guide/cloud.md).
set -uo pipefail

: "${PROJECT:?}" "${ZONE:?}" "${STORE:?gs://BUCKET/PATH of the store}"
: "${TPU:=vitctl}" "${TYPE:=v5litepod-16}" "${RUNTIME:=v2-alpha-tpuv5-lite}"
: "${DATA:=latest}" "${MODEL:=L16}" "${STEPS:=100k}" "${BATCH:=4096}" "${SAVE:=1000}"
: "${RETRIES:=20}" "${WAIT_S:=60}"

tpu() { gcloud compute tpus tpu-vm "$@" --project "$PROJECT" --zone "$ZONE"; }
everywhere() { tpu ssh "$TPU" --worker=all --command "$1"; }

ready() { [ "$(tpu describe "$TPU" --format 'value(state)' 2>/dev/null)" = READY ]; }

prepare() {
  tpu delete "$TPU" --quiet 2>/dev/null
  tpu create "$TPU" --accelerator-type "$TYPE" --version "$RUNTIME" --spot || return
  everywhere "pip install -q 'vitctl[tpu,cloud]'"
}

for _ in $(seq "$RETRIES"); do
  ready || prepare || { sleep "$WAIT_S"; continue; }
  everywhere "PATH=\$HOME/.local/bin:\$PATH VITCTL_STORE=$STORE \
    vitctl pretrain --data $DATA --model $MODEL --steps $STEPS --batch $BATCH --checkpoint-every $SAVE"
  code=$?
  case "$code" in
    0) tpu delete "$TPU" --quiet; exit 0 ;;
    # Errors that another try would not change (docs/guide/exit-codes.md). The slice stays, to look.
    2 | 3 | 4 | 5 | 6 | 11) exit "$code" ;;
    # 10: interrupted after saving. Others: the connection or the slice is gone; what is saved stays.
    *) echo "exit $code; going on in $WAIT_S s" >&2; sleep "$WAIT_S" ;;
  esac
done
exit 10
