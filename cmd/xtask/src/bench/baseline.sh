# Runs in the naive node, once it is up: what a careful user would type.
set -eu
until ctr version >/dev/null 2>&1; do sleep 0.1; done
for archive in /bench/images/*.tar; do
	ctr -n k8s.io images import "$archive"
done
kubeadm init --config /bench/kubeadm.yaml --skip-phases=preflight,addon/coredns
mkdir -p /etc/cni/net.d
cp /bench/bridge.conflist /etc/cni/net.d/
kubectl --kubeconfig /etc/kubernetes/admin.conf wait --for=condition=Ready node --all --timeout=300s
