#!/usr/bin/env bash
# "Machines" on one Linux host, to try clusters and the loss of a node for real: each has a network address, process
# ids, a host name, a home, Ray's temporary folder, shared memory and a server of its own: SSH, or the command in
# $SERVER. DIR/shared is /shared on all of them, as NFS would be. Needs root and Debian's iproute2, for SSH also
# openssh-server and rsync.
#
#   machines.sh up DIR N        10.78.0.11 and on; log in with: ssh -i DIR/key root@10.78.0.11
#   machines.sh boot DIR I      machine I alone, as after its loss
#   machines.sh kill DIR I      machine I dies at once, and its address with it
#   machines.sh down DIR N      all of them, and everything that runs on them
#
# Process ids matter: a cluster's start commands run `ray stop`, which would end every Ray of the host.
set -euo pipefail
BRIDGE=bmtest0

name() { echo "bmtest$1"; }

up() {
    mkdir -p "$DIR/shared" /shared /tmp/ray
    [ -n "${SERVER:-}" ] || ssh_server
    ip link add "$BRIDGE" type bridge
    ip addr add 10.78.0.1/24 dev "$BRIDGE"
    ip link set "$BRIDGE" up
    for i in $(seq "$COUNT"); do boot "$i"; done
}

ssh_server() {
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/key" <<<y >/dev/null
    ssh-keygen -q -t ed25519 -N '' -f "$DIR/hostkey" <<<y >/dev/null
    cat >"$DIR/sshd.conf" <<CONF
HostKey $DIR/hostkey
AuthorizedKeysFile $DIR/key.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
CONF
}

boot() {
    local machine home work
    machine=$(name "$1") home="$DIR/$(name "$1")/home" work="$DIR/$(name "$1")/work"
    mkdir -p "$home" "$work"
    ip netns add "$machine"
    ip link add "${machine}v" type veth peer name eth0 netns "$machine"
    ip link set "${machine}v" master "$BRIDGE" up
    ip -n "$machine" addr add "10.78.0.1$1/24" dev eth0
    ip -n "$machine" link set eth0 up
    ip -n "$machine" link set lo up
    # leads nowhere; without a way out Ray takes 127.0.0.1 for its own address
    ip -n "$machine" route add default via 10.78.0.1
    # not by `ip netns exec`, which hides the mounted cgroups
    nsenter --net="/run/netns/$machine" unshare --pid --fork --mount --uts --ipc --kill-child bash -c "
        set -e
        mount --make-rprivate /
        mount -t proc proc /proc
        hostname $machine
        mount -t overlay overlay -o 'lowerdir=$HOME,upperdir=$home,workdir=$work' '$HOME'
        mount --bind '$DIR/shared' /shared
        mount -t tmpfs tmpfs /tmp/ray
        mount -t tmpfs -o size=512m tmpfs /dev/shm
        exec ${SERVER:-/usr/sbin/sshd -D -e -f '$DIR/sshd.conf'}" >"$DIR/$machine.log" 2>&1 &
}

kill_machine() {
    local machine
    machine=$(name "$1")
    ip netns pids "$machine" 2>/dev/null | xargs -r kill -9 || true
    ip netns del "$machine" 2>/dev/null || true
    ip link del "${machine}v" 2>/dev/null || true
}

down() {
    for i in $(seq "$COUNT"); do kill_machine "$i"; done
    ip link del "$BRIDGE" 2>/dev/null || true
    rmdir /shared 2>/dev/null || true
}

DIR=$(realpath "${2:?give a folder}")
case $1 in
up) COUNT=${3:?} && up ;;
boot) boot "${3:?}" ;;
kill) kill_machine "${3:?}" ;;
down) COUNT=${3:?} && down ;;
*) sed -n 2,13p "$0" && exit 2 ;;
esac
