#!/bin/bash
# What:    a sweep on the nodes of one Slurm job. Ray starts on them for this job alone, with what Slurm granted.
# Fill in: 1 the resources (#SBATCH), 2 the installation, the space, the model and the folder of runs, which all nodes
#          see, 3 a folder on the node's own disk, 30 characters at most.
# Command: first, on the login node, whose internet fetches the model: beliefmod sweep ... --dry-run
#
#   sbatch slurm.sh                              # the same again goes on with the same run
#   for i in 1 2 3; do sbatch slurm.sh; done     # a chain: one after the other, until the sweep has finished
#   beliefmod watch RUN                          # from the login node; scancel JOB keeps what runs
#
# Cost:    what the job holds while it runs. A preempted job, or one whose time ends, keeps its running adapters.
#SBATCH --job-name=beliefmod
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=4
#SBATCH --mem=64G
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --dependency=singleton
#SBATCH --open-mode=append
#SBATCH --output=beliefmod-%j.log

VENV=${VENV:-$HOME/beliefmod/.venv}
SPACE=${SPACE:-aggressive}
MODEL=${MODEL:-Qwen/Qwen3-4B-Thinking-2507}
RUNS=${RUNS:-/shared/runs}
export HF_HOME=${HF_HOME:-/shared/huggingface}
OWN_DISK=${OWN_DISK:-/tmp}

set -uo pipefail
export PATH="$VENV/bin:$PATH" OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 MODEL
export RAY_TMPDIR="$OWN_DISK/bm$SLURM_JOB_ID" RAY_USAGE_STATS_ENABLED=0 RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
# known to this job's processes alone; without it Ray's ports do nothing
RAY_AUTH_TOKEN=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
# the address by which the others reach this node; where nodes have several networks, write yours
HEAD=$(python -c 'import ray; print(ray.util.get_node_ip_address())') || exit
PORT=$((20000 + SLURM_JOB_ID % 12000)) # other jobs may be on the same node
export HEAD PORT
WORKERS=$((SLURM_NNODES - 1))
GPUS=$((SLURM_NNODES * ${SLURM_GPUS_ON_NODE:-0}))
CORES=$((SLURM_NNODES * SLURM_CPUS_ON_NODE))

# What a node does: copy the model's files to its own disk, once for all of its engines, and run Ray until USR1 says
# that all is done. Slurm's TERM comes to every node at once, and must not end engines before they kept what runs: a
# node that got it, whom srun then passes no USR1, leaves when the head has gone.
node() {
    local files="$HF_HOME/hub/models--${MODEL//\//--}" log="$RAY_TMPDIR/log" ray= told= done=
    trap 'told=yes' TERM
    trap 'done=yes' USR1
    rm -rf "$RAY_TMPDIR" # what a killed start of this job may have left
    mkdir -m 700 "$RAY_TMPDIR" || return
    if [ -d "$files" ]; then
        mkdir -p "$RAY_TMPDIR/hf/hub"
        cp -a "$files" "$RAY_TMPDIR/hf/hub/" && export HF_HOME="$RAY_TMPDIR/hf"
    fi
    ulimit -n "$(ulimit -Hn)"
    for _ in 1 2 3; do # Ray 2.60 gives up on a node that is not up in 30 s, as one with other work may not be
        python -m beliefmod.fleet.ray_node "$@" --temp-dir="$RAY_TMPDIR" --include-log-monitor=false --block \
            >"$log" 2>&1 &
        ray=$!
        until grep -qs 'Ray runtime started' "$log" || ! kill -0 $ray 2>/dev/null; do sleep 0.5; done
        grep -q 'Ray runtime started' "$log" && touch "$RAY_TMPDIR/up"
        while kill -0 $ray 2>/dev/null; do
            [ -z "$told" ] || (: <>"/dev/tcp/$HEAD/$PORT") 2>/dev/null || done=yes
            [ -z "$done" ] || kill $ray
            sleep 1
        done
        [ ! -e "$RAY_TMPDIR/up" ] || break
    done
    [ -n "$done" ] || tail -n 20 "$log" >&2
    rm -rf "$RAY_TMPDIR"
}
export -f node

rm -rf "$RAY_TMPDIR"
node --head --node-ip-address="$HEAD" --port="$PORT" --no-monitor --include-dashboard=false \
    --resources="{\"gpus_to_come\": $GPUS}" & # of nodes that are not up yet
head=$! workers=
until [ -e "$RAY_TMPDIR/up" ]; do
    kill -0 $head 2>/dev/null || exit
    sleep 0.5
done
if [ "$WORKERS" -gt 0 ]; then
    srun --nodes="$WORKERS" --ntasks="$WORKERS" --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK" \
        --exclude="$SLURMD_NODENAME" --no-kill --kill-on-bad-exit=0 bash -c "node --address=$HEAD:$PORT" &
    workers=$!
fi

[ ! -d "$RAY_TMPDIR/hf" ] || HF_HOME="$RAY_TMPDIR/hf"
beliefmod sweep --auto-resume --space "$SPACE" --model "$MODEL" --out "$RUNS" --address "$HEAD:$PORT" \
    --hosts $((GPUS > 0 ? GPUS : CORES)) "$@" &
sweep=$!
trap 'kill $sweep; trap : TERM' TERM # passed on once: the second one would end the sweep at once
while kill -0 $sweep 2>/dev/null; do
    wait $sweep
    code=$?
done
kill -USR1 $head $workers 2>/dev/null
wait
exit $code
