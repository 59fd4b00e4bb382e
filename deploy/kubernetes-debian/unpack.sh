# Unpacks .deb files into a new root, largest first, on all processors. Runs on the host.
# usage: unpack.sh ARCHIVES ROOT
set -eu
archives=$1 root=$2

mkdir -p "$root/dev" "$root/proc" "$root/tmp" "$root/recipe" "$root/input" "$root/gocache" "$root/out" \
    "$root/go/src/k8s.io/kubernetes"

# Documentation and Go's own object files (made with other flags than ours) are a third of the bytes.
# tar notices a .deb that ends early, so its status is enough. --no-same-owner: the root belongs to
# whoever builds it, and needs no privilege to be made or removed.
cd "$archives"
ls -S -- *.deb | xargs -n 1 -P "$(nproc)" sh -ec '
    dpkg-deb --fsys-tarfile "$2" | tar -x -C "$1" --no-same-owner --no-same-permissions \
        --exclude="./usr/share/doc" --exclude="./usr/share/man" --exclude="./usr/share/info" \
        --exclude="./usr/share/locale" --exclude="./usr/share/go-*/test" --exclude="./usr/lib/go-*/pkg/linux_*"
    echo "unpacked $2"
' unpack "$root"
