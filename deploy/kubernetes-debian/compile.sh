# Compiles all components as static binaries into /out/bin.
# usage: compile.sh VERSION COMPONENT...
set -eu
. /recipe/go.sh
version=$1
shift

numbers=${version#v}
major=${numbers%%.*}
minor=${numbers#*.}
minor=${minor%%.*}
# The date of the source package, so that the same source gives the same bytes.
packaged=$(sed -n '/^ -- /{s/^ -- .*>  //p;q}' debian/changelog)
date=$(date -u -d "$packaged" +%Y-%m-%dT%H:%M:%SZ)
stamps=
for package in k8s.io/kubernetes/vendor/k8s.io/component-base/version k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version; do
    stamps="$stamps -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
    stamps="$stamps -X $package.gitTreeState=archive -X $package.gitCommit= -X $package.buildDate=$date"
done

mkdir -p /out/bin
for component; do
    set -- "$@" "./cmd/$component"
    shift
done
go build -v -tags "$TAGS" -gcflags "$GCFLAGS" -ldflags "-s -w $stamps" -o /out/bin/ "$@"
