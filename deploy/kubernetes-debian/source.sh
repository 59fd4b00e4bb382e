# Unpacks Debian's kubernetes source package with Debian's patches into /out.
set -eu
mkdir -p /out/tree

# Left out: what no component is compiled from.
tar -x -C /out/tree --strip-components=1 --no-same-owner -f /input/*.orig.tar.gz \
    --anchored --no-wildcards-match-slash \
    --exclude='kubernetes-*/CHANGELOG' --exclude='kubernetes-*/cluster' --exclude='kubernetes-*/docs' \
    --exclude='kubernetes-*/logo' --exclude='kubernetes-*/test' --exclude='kubernetes-*/api/openapi-spec'
tar -x -C /out/tree --no-same-owner -f /input/*.debian.tar.xz

cd /out/tree
grep -v -e '^#' -e '^$' debian/patches/series | while read -r name options; do
    echo "applying $name"
    patch -p1 --batch --no-backup-if-mismatch <"debian/patches/$name"
done

# The vendored reflect2 relies on Go internals that changed in 1.18: components would crash when
# they write configuration. Debian packages the version that works.
rm -rf vendor/github.com/modern-go/reflect2
cp -RL /usr/share/gocode/src/github.com/modern-go/reflect2 vendor/github.com/modern-go/reflect2

# Since Go 1.18 an empty string compares equal to the zero value here, so that every custom resource
# that holds one would be refused as if it held null. The API server has a copy of its own of this
# package, which is the one that counts.
validator=vendor/k8s.io/kube-openapi/pkg/validation/validate/type.go
sed -i 's/if data == nil || reflect\.DeepEqual(reflect\.Zero(.*)) {$/if data == nil {/' "$validator"
grep -q '^	if data == nil {$' "$validator"
