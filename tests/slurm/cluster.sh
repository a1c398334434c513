#!/bin/sh
# A SLURM cluster of this machine alone, on its loopback: controller, one node, no accounting, no cgroups.
# It needs root and Debian, whose packages it installs; a configuration of SLURM that is already there is left alone.
# Use: tests/slurm/cluster.sh start|stop
set -eu

STATE=/var/lib/emtransfer_slurm
# jobs start job steps in an environment without SLURM_CONF, so the file has to be where SLURM looks by itself
CONF=/etc/slurm/slurm.conf
HERE=$(cd "$(dirname "$0")" && pwd)

# one line of why not, and another exit status than that of a failure
unfit() {
    echo "$1" >&2
    exit 77
}

check() {
    [ "$(id -u)" = 0 ] || unfit "SLURM is installed and started by root only"
    [ -f /etc/debian_version ] || unfit "SLURM is installed from the packages of Debian only"
    if [ -f "$CONF" ] && ! grep -q tests/slurm/cluster.sh "$CONF"; then
        unfit "$CONF is of another SLURM, which is left alone"
    fi
}

install() {
    if command -v slurmctld && command -v slurmd && command -v srun && command -v munged; then return; fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends slurm-wlm munge ||
        unfit "slurm-wlm and munge cannot be installed"
}

configure() {
    host=$(hostname -s)
    memory_mb=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo) / 1024))
    mkdir -p "$STATE/controller" "$STATE/node" "$(dirname "$CONF")"
    sed -e "s|HOST|$host|g" -e "s|PROCESSORS|$((2 * $(getconf _NPROCESSORS_ONLN)))|" -e "s|MEMORY_MB|$memory_mb|" -e "s|STATE|$STATE|" \
        "$HERE/slurm.conf" > "$CONF"
    # GPUs in name only: SLURM wants a file of each
    touch "$STATE/gpu0" "$STATE/gpu1"
    echo "Name=gpu File=$STATE/gpu[0-1]" > "$(dirname "$CONF")/gres.conf"
}

# a daemon whose process is named in a file
running() {
    [ -f "$1" ] && kill -0 "$(cat "$1")" 2> /dev/null
}

start_munge() {
    if running /run/munge/munged.pid; then return; fi
    [ -f /etc/munge/munge.key ] || /usr/sbin/mungekey --create
    mkdir -p /run/munge /var/log/munge /var/lib/munge
    chown -R munge: /run/munge /var/log/munge /var/lib/munge /etc/munge
    chmod 755 /run/munge
    runuser -u munge -- /usr/sbin/munged
    touch "$STATE/own_munge"
}

start() {
    stop
    install > /dev/null
    configure
    start_munge
    slurmctld -c
    slurmd -c
    tries=0
    until [ "$(sinfo --noheader --format=%T 2> /dev/null)" = idle ]; do
        tries=$((tries + 1))
        if [ $tries -gt 60 ]; then
            tail -n 20 "$STATE/slurmctld.log" "$STATE/slurmd.log" >&2
            exit 1
        fi
        sleep 0.5
    done
}

stop_daemon() {
    if running "$1"; then
        pid=$(cat "$1")
        kill "$pid"
        while kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
    fi
}

stop() {
    check
    stop_daemon "$STATE/slurmd.pid"
    stop_daemon "$STATE/slurmctld.pid"
    if [ -f "$STATE/own_munge" ]; then stop_daemon /run/munge/munged.pid; fi
    rm -rf "$STATE" "$CONF" "$(dirname "$CONF")/gres.conf"
}

case "${1-}" in
    start) start ;;
    stop) stop ;;
    *)
        echo "Use: $0 start|stop" >&2
        exit 2
        ;;
esac
