#!/usr/bin/env bash
# A throw-away SLURM of one machine in one folder, for tests and for trying anycost's launchers. It needs the packages
# `slurm-wlm` and `munge`, and neither root, nor systemd, nor a network; several may run beside each other.
#
#   eval "$(slurm/cluster.sh start)"     start it; this shell's sbatch, srun, squeue then speak to it
#   slurm/cluster.sh status              its nodes and jobs
#   slurm/cluster.sh stop                cancel all jobs, then end it; no process remains
#
# Options: --dir=DIR     where it lives (default: $XDG_RUNTIME_DIR or /tmp, anycost-slurm-$UID)
#          --nodes=N     pretended machines n1, n2, ... (default 1)
#          --cpus=N      cores of each, real or not (default: those of the machine, at least 2)
#          --gpus=N      pretended GPUs of each (default 0; CUDA_VISIBLE_DEVICES is set where root starts it)
#          --grace=SEC   what a job preempted in partition `low` has left (default 30)
# Partitions: `debug`, the default, and `low`, whose jobs are queued again when `debug` needs their place.
set -euo pipefail

main() {
    local action=${1:-} option
    dir=${XDG_RUNTIME_DIR:-/tmp}/anycost-slurm-$UID nodes=1 gpus=0 grace=30
    cpus=$(getconf _NPROCESSORS_ONLN) # `nproc` obeys OMP_NUM_THREADS
    cpus=$((cpus < 2 ? 2 : cpus))
    for option in "${@:2}"; do
        [[ $option =~ ^--(dir=.+|nodes=[1-9]|cpus=[1-9][0-9]*|gpus=[0-9]|grace=[0-9]+)$ ]] ||
            fail "$option is not an option; see the top of $0"
        declare -g "${option:2}"
    done
    [[ $dir = /* ]] || dir=$PWD/$dir
    export SLURM_CONF=$dir/slurm.conf
    [[ $action =~ ^(start|stop|status)$ ]] || fail "usage: $0 start|stop|status [OPTIONS]; see the top of it"
    "$action"
}

fail() {
    echo "error: $*" >&2
    exit 2
}

start() {
    PATH=$PATH:/usr/sbin:/sbin
    local program
    for program in munged slurmctld slurmd sbatch; do
        [ -n "$(type -P "$program")" ] || fail "no $program here; install the packages: slurm-wlm munge"
    done
    [[ $dir != *[^A-Za-z0-9/._-]* ]] || fail "--dir=$dir: SLURM wants a path of letters, digits, and . _ - alone"
    [ ${#dir} -le 70 ] || fail "--dir=$dir is too long for the sockets inside; take one of at most 70 characters"
    (umask 077 && mkdir -p "$dir")
    [ -O "$dir" ] || fail "--dir=$dir belongs to somebody else"
    if answers; then
        echo "already running in $dir" >&2
    else
        [ -e "$SLURM_CONF" ] || [ -z "$(ls -A "$dir")" ] || fail "--dir=$dir holds other files; name an empty folder"
        end_daemons
        start_daemons >&2
    fi
    echo "export SLURM_CONF=$SLURM_CONF"
}

# Another program may take a port between the look and the start: then all begins again with others.
start_daemons() {
    for _ in 1 2 3 4; do
        rm -rf "$dir"/{munge,state,log,spool,gres.conf,gpu?,*.pid}
        mkdir -m 755 "$dir"/{munge,state,log,spool}
        write_configuration
        (umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
        # --force: others need not reach the socket
        munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munged.pid" \
            --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed"
        slurmctld -f "$SLURM_CONF" || true
        seq -f n%g "$nodes" | xargs -n 1 slurmd -f "$SLURM_CONF" -N || true
        for _ in $(seq 50); do
            [ "$(sinfo --noheader --partition=debug --states=idle --format=%D 2>/dev/null)" = "$nodes" ] && return
            sleep 0.1
        done
        end_daemons
    done
    fail "SLURM did not start; $dir/log says why"
}

write_configuration() {
    local host memory gpu node port
    host=$(uname -n)
    memory=$(awk '/^MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
    port=$(free_port $((20000 + RANDOM % 12000)))
    {
        cat <<END
ClusterName=anycost
SlurmctldHost=${host%%.*}(127.0.0.1)
SlurmctldPort=$port
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthInfo=socket=$dir/munge/socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
PropagateResourceLimits=NONE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1,sched_interval=1
SlurmctldParameters=preempt_send_user_signal
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=5
FirstJobId=$port
END
        for node in $(seq -f n%g "$nodes"); do
            port=$(free_port $((port + 1)))
            echo "NodeName=$node NodeHostname=${host%%.*} NodeAddr=127.0.0.1 Port=$port CPUs=$cpus" \
                "RealMemory=$memory Gres=gpu:$gpus"
        done
        echo "PartitionName=DEFAULT Nodes=ALL DefMemPerCPU=$((memory / cpus))"
        echo "PartitionName=debug Default=YES PriorityTier=10"
        echo "PartitionName=low PriorityTier=1 PreemptMode=REQUEUE GraceTime=$grace"
    } >"$SLURM_CONF"
    for gpu in $(seq 0 $((gpus - 1))); do
        mknod "$dir/gpu$gpu" c 1 3 2>/dev/null || touch "$dir/gpu$gpu"
    done
    [ "$gpus" = 0 ] || echo "Name=gpu File=$dir/gpu[0-$((gpus - 1))]" >"$dir/gres.conf"
}

# The first port from $1 on at which nobody listens.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# The ids of our daemons: a pid file is believed if that process is a daemon of this folder.
running() {
    local file pid
    for file in "$dir"/slurmd-*.pid "$dir"/slurmctld.pid "$dir"/munged.pid; do
        pid=$(cat "$file" 2>/dev/null) && [[ $(cat "/proc/$pid/comm" 2>/dev/null) =~ ^(slurmd|slurmctld|munged)$ ]] &&
            grep -qF "$dir/" "/proc/$pid/cmdline" && echo "$pid"
    done
    true
}

answers() {
    [ -n "$(running)" ] && [[ $(scontrol ping 2>/dev/null) = *UP* ]]
}

# Jobs' processes that SLURM has lost sight of, or that outlived it, known by their environment.
job_processes() {
    grep -lzx "SLURM_CONF=$SLURM_CONF" /proc/[0-9]*/environ 2>/dev/null |
        xargs -r grep -lz '^SLURM_JOB_ID=' 2>/dev/null | cut -d/ -f3 | grep -vx "$$" || true
}

stop() {
    [ -n "$(running)" ] || echo "nothing runs in $dir" >&2
    if answers; then
        squeue --noheader --format=%A | sort -u | xargs -r scancel
        wait_until_empty 15 squeue --noheader
    fi
    end_daemons
    # shellcheck disable=SC2046  # a list of ids
    kill -KILL $(job_processes) 2>/dev/null || true
}

end_daemons() {
    local signal
    for signal in TERM KILL; do
        # shellcheck disable=SC2046  # a list of ids
        kill -"$signal" $(running) 2>/dev/null || true
        wait_until_empty 15 running && return
    done
}

# Whether the command $2... prints nothing any more within $1 seconds.
wait_until_empty() {
    local end=$((SECONDS + $1))
    while [ -n "$("${@:2}" 2>/dev/null)" ]; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

status() {
    [ -n "$(running)" ] || { echo "nothing runs in $dir"; return 3; }
    echo "running in $dir; export SLURM_CONF=$SLURM_CONF"
    sinfo
    squeue
}

main "$@"
