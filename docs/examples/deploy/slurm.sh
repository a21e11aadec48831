#!/bin/bash
# A sweep as a Slurm job: a Ray cluster of the job's nodes, and one driver. Submitted again, it runs what is missing.
#
#   export PHASESWEEP_RESULTS=/shared/results
#   sbatch --nodes=4 slurm.sh STUDY --scale gpu
#
#SBATCH --job-name=phasesweep
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120

set -euo pipefail
: "${1:?name the study}"
: "${PHASESWEEP_RESULTS:?set it to a folder that all nodes share}"

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST") # not `| head`, which may end scontrol, and so this script
head=${nodes%%$'\n'*}
port=$((6379 + SLURM_JOB_ID % 1000)) # two jobs may share a node
export RAY_ADDRESS="$head:$port"
# Whoever can connect to the cluster can run code on it. The token is in the environment, not in a command line.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN

srun --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --block --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false &
until ray health-check --address "$RAY_ADDRESS" >/dev/null 2>&1; do
  kill -0 $! # the head node has ended: so does this script
  sleep 1
done
others=$((SLURM_JOB_NUM_NODES - 1))
if ((others > 0)); then
  srun --nodes="$others" --ntasks="$others" --exclude="$head" \
    ray start --block --address="$RAY_ADDRESS" --num-cpus="$SLURM_CPUS_PER_TASK" &
fi

# Before the time limit Slurm signals this script (`--signal` above): then the driver stops in order.
phasesweep run "$@" &
driver=$!
trap 'kill -TERM "$driver"' TERM
code=0
wait "$driver" || code=$?
if kill -0 "$driver" 2>/dev/null; then # the signal has ended only the waiting
  code=0
  wait "$driver" || code=$?
fi
kill $(jobs -p) 2>/dev/null || true
exit "$code"
