# Copies etcd with every library it loads into /out/etcd, a tree that can be used as a root.
set -eu
for program in /usr/bin/etcd /usr/bin/etcdctl; do
    install -D "$program" "/out/etcd$program"
    # The loader prints `name => path (address)` or, for itself, `path (address)`.
    LD_TRACE_LOADED_OBJECTS=1 "$program" | sed -n 's|^[^/]*\(/[^ ]*\) (.*|\1|p' | while read -r library; do
        install -D "$library" "/out/etcd$library"
    done
done
/usr/sbin/chroot /out/etcd /usr/bin/etcd --version
