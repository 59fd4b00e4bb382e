# Runs a command inside the builder root. Expects namespaces of its own (mount, pid, network), so
# nothing it mounts or starts outlives it.
# usage: enter.sh ROOT [SOURCE TARGET]... -- COMMAND...
set -eu
root=$1
shift
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
exec chroot "$root" /usr/bin/env -i PATH=/usr/lib/go-1.19/bin:/usr/bin:/bin HOME=/tmp TMPDIR=/out/tmp LC_ALL=C "$@"
