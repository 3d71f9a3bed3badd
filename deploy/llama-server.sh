#!/bin/sh
# llama-server behind a home, on this machine: llama-server.sh MODEL.gguf [layer|row|none]
#   layer  layers are divided over the cards (the default; cards may differ: SPLIT=3,1)
#   row    each matrix is divided over the cards (alike, with a fast link)
#   none   one card, CARD says which
# SLOTS answers are given at once; they share CONTEXT. What the cards cannot hold stays in memory.
# Then: ONDOL_HOME_UPSTREAMS=http://127.0.0.1:8080/v1 ondol home
set -eu
model=${1:?"llama-server.sh MODEL.gguf [layer|row|none]"}
how=${2:-layer}
case $how in
  layer | row) set -- --split-mode "$how" ${SPLIT:+--tensor-split "$SPLIT"} ;;
  none) set -- --split-mode none --main-gpu "${CARD:-0}" ;;
  *) echo "llama-server.sh: $how: layer, row or none" >&2; exit 2 ;;
esac
exec ${DRY_RUN:+echo} llama-server --model "$model" --host 127.0.0.1 --port "${PORT:-8080}" \
  --n-gpu-layers "${LAYERS:-999}" --parallel "${SLOTS:-4}" --ctx-size "${CONTEXT:-32768}" --jinja \
  "$@"
