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

# Components sign serving certificates for themselves when they start. Two RSA keys, which every one
# of them makes for that, take as long as hundreds of elliptic ones.
certificates=staging/src/k8s.io/client-go/util/cert/cert.go
sed -i -e 's|^	"crypto/rsa"$|	"crypto/ecdsa"\n	"crypto/elliptic"|' \
    -e 's/rsa\.GenerateKey(cryptorand\.Reader, 2048)/ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)/' \
    -e 's|^	// Generate key$|	keyBytes, err := x509.MarshalECPrivateKey(priv)\n	if err != nil {\n		return nil, nil, err\n	}|' \
    -e 's/RSAPrivateKeyBlockType, Bytes: x509\.MarshalPKCS1PrivateKey(priv)/ECPrivateKeyBlockType, Bytes: keyBytes/' "$certificates"
