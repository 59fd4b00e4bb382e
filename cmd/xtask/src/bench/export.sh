# Runs in a container of the node image: writes its Kubernetes images as archives to /out.
# The node image keeps layers unpacked and no archived form of them, so `ctr images export`
# has nothing to export. A layer packed again has another digest, which its configuration names.
set -eu
own=/usr/lib/skiff
work=/tmp/export
while read -r reference layer config; do
	case $reference in */skiff-agent:*) continue ;; esac
	mkdir -p "$work"
	tar -c --numeric-owner -f "$work/layer.tar" -C "$own/layers/$layer/fs" .
	digest=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
	sed "s/$layer/$digest/" "$own/containerd/io.containerd.content.v1.content/blobs/sha256/$config" >"$work/config.json"
	printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$reference" >"$work/manifest.json"
	tar -c -f "/out/$config.tar" -C "$work" manifest.json config.json layer.tar
	rm -r "$work"
	case $reference in */kube-apiserver:*) echo "${reference%/*}" ;; esac
done <"$own/images.txt"
