# Settings of every Go build in the builder; sourced. One set of compiler flags for all, so that
# tools and components share the build cache.
export GOPATH=/go GO111MODULE=off GOFLAGS= GOCACHE=/gocache GOTMPDIR=/out/tmp CGO_ENABLED=0
# Compilers are short-lived: collecting less garbage saves a tenth of the time, within a limit.
export GOGC=400 GOMEMLIMIT=2GiB
# No debug information is generated, as the linker would drop it anyway.
GCFLAGS=all=-dwarf=false
# Left out as upstream's own build tags allow: cloud providers' SDKs (a quarter of the code) and the
# Docker runtime (nodes run containerd), with cAdvisor's search for a Docker socket at kubelet start.
TAGS=providerless,dockerless
cd /go/src/k8s.io/kubernetes
