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

# An API server of this version spends a third of its start on OpenAPI documents in three media types
# that nobody may ever ask for. Kubernetes 1.23 and later write them on request; so does this one.
handler=vendor/k8s.io/kube-openapi/pkg/handler
sed -i -e '/^\/\/ OpenAPIService is/,/^}$/d' -e '/^func (o \*OpenAPIService) \(getSwagger.*\|UpdateSpec\)(/,/^}$/d' \
    -e '/^func toGzip(/,/^}$/d' -e '/^	"compress\/gzip"$/d' -e '/^	"sync"$/d' -e '/^	jsoniter /d' "$handler/handler.go"
cp /recipe/documents.go "$handler/documents.go"

# It spends as long again on reading its own document back, to merge it with those of other servers; and
# looks every second whether it has changed. Kubernetes 1.28 and later merge on request; so does this one.
merging=staging/src/k8s.io/kube-aggregator/pkg/controllers/openapi
sed -i -e '/^\/\/ BuildAndRegisterAggregator /,/^}$/d' -e '/^	restful /d' -e '/"k8s.io\/apiserver\/pkg\/server"$/d' \
    -e '/"k8s.io\/kube-openapi\/pkg\/\(builder\|common\)"$/d' "$merging/aggregator/aggregator.go"
sed -i '/^	\/\/ update each service at least once/,/^	}$/d' "$merging/controller.go"
cp /recipe/aggregated.go "$merging/aggregator/aggregated.go"

# Components sign serving certificates for themselves when they start. Two RSA keys, which every one
# of them makes for that, take as long as hundreds of elliptic ones.
certificates=staging/src/k8s.io/client-go/util/cert/cert.go
sed -i -e 's|^	"crypto/rsa"$|	"crypto/ecdsa"\n	"crypto/elliptic"|' \
    -e 's/rsa\.GenerateKey(cryptorand\.Reader, 2048)/ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)/' \
    -e 's|^	// Generate key$|	keyBytes, err := x509.MarshalECPrivateKey(priv)\n	if err != nil {\n		return nil, nil, err\n	}|' \
    -e 's/RSAPrivateKeyBlockType, Bytes: x509\.MarshalPKCS1PrivateKey(priv)/ECPrivateKeyBlockType, Bytes: keyBytes/' "$certificates"

# What waits for a server of the same machine that is about to be ready asks five or ten times a second, and
# at once, not after a second: the roles and classes that a server starts with, the controller manager,
# kubelets for the volumes of a pod, and whoever lists objects. A kubelet of a machine that was off may know
# a pod before it knows the services: it waits for them instead of failing, which puts the pod off for 10 s.
soon() {
    file=$1
    from=$2
    to=$3
    grep -q "$from" "$file"
    sed -i "s/$from/$to/" "$file"
}
for hook in rbac/rest/storage_rbac.go scheduling/rest/storage_scheduling.go; do
    soon "pkg/registry/$hook" 'wait.Poll(1\*time.Second,' 'wait.PollImmediate(100*time.Millisecond,'
done
soon staging/src/k8s.io/controller-manager/app/helper.go 'wait.PollImmediate(time.Second,' 'wait.PollImmediate(100*time.Millisecond,'
soon pkg/kubelet/volumemanager/volume_manager.go 'podAttachAndMountRetryInterval = 300' 'podAttachAndMountRetryInterval = 50'
soon staging/src/k8s.io/client-go/tools/cache/reflector.go 'Manager(800\*time.Millisecond,' 'Manager(200*time.Millisecond,'
soon pkg/kubelet/kubelet.go 'serviceHasSynced = \(kubeInformers.*HasSynced\)$' \
    'known := \1\n		serviceHasSynced = func() bool {\n			return wait.PollImmediate(50*time.Millisecond, 10*time.Second, func() (bool, error) { return known(), nil }) == nil\n		}'
