#!/bin/sh
# vLLM behind a home, on this machine: vllm.sh MODEL [single|tensor|pipeline|nodes]
#   single    the model fits into one card
#   tensor    it does not, and the cards of this machine are alike: each layer is split over them
#   pipeline  the cards are not alike, or have no fast link: each gets some of the layers
#   nodes     it does not fit into one machine: tensors are split within, layers across machines
#             (start `ray start --head` here and `ray start --address HEAD:6379` there first)
# GPUS and NODES say how many. Then: ONDOL_HOME_UPSTREAMS=http://127.0.0.1:8000/v1 ondol home
set -eu
model=${1:?"vllm.sh MODEL [single|tensor|pipeline|nodes]"}
how=${2:-single}
gpus=${GPUS:-2}
nodes=${NODES:-2}
case $how in
  single) set -- ;;
  tensor) set -- --tensor-parallel-size "$gpus" ;;
  pipeline) set -- --pipeline-parallel-size "$gpus" ;;
  nodes)
    set -- --tensor-parallel-size "$gpus" --pipeline-parallel-size "$nodes" \
      --distributed-executor-backend ray ;;
  *) echo "vllm.sh: $how: single, tensor, pipeline or nodes" >&2; exit 2 ;;
esac
# Loopback only: home is the one who asks. Neither statistics nor prompts leave or are logged.
export VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_OFFLINE=1
exec ${DRY_RUN:+echo} vllm serve "$model" --host 127.0.0.1 --port "${PORT:-8000}" \
  --max-model-len "${CONTEXT:-32768}" --gpu-memory-utilization 0.90 "$@"
