# Makes pkg/generated/openapi, the only generated code that the source package lacks.
set -eu
. /recipe/go.sh
target=pkg/generated/openapi/zz_generated.openapi.go

go build -v -gcflags "$GCFLAGS" -o /out/tmp/openapi-gen ./vendor/k8s.io/kube-openapi/cmd/openapi-gen

# Upstream's rule: every package with the tag, except those of the code generator and of the sample.
packages=$(grep -rl --include='*.go' --exclude='*_test.go' '^// +k8s:openapi-gen=' cmd pkg plugin staging vendor |
    sed -e 's|/[^/]*$||' -e 's|^staging/src/|vendor/|' |
    grep -v -e '^vendor/k8s.io/code-generator' -e '^vendor/k8s.io/sample-apiserver' |
    sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -s -d ,)

/out/tmp/openapi-gen --logtostderr --output-base /out/tmp/generated -i "$packages" \
    -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r /out/tmp/violations

# Upstream lists the known violations of its API rules: the same list means the same packages were read.
[ "$(cat /out/tmp/violations)" = "$(cat api/api-rules/violation_exceptions.list)" ] || {
    echo 'the API rule violations differ from the list in api/api-rules' >&2
    exit 1
}

cp "/out/tmp/generated/k8s.io/kubernetes/$target" "$target.part"
mv "$target.part" "$target"
