# janitor.sh PREFIX CLUSTER FOLDER: waits for the end of its input, then removes what the bench has made.
trap '' INT TERM HUP
prefix=$1 cluster=$2 folder=$3
cat >/dev/null

# A start that is still at work holds its cluster's lock: this waits for it.
[ ! -x "$folder/skiff" ] || for name in "$cluster" "$prefix"1 "$prefix"2 "$prefix"3 "$prefix"4; do
	SKIFF_HOME=$folder/home KUBECONFIG=$folder/kubeconfig "$folder/skiff" delete -p "$name"
done

# Names of ours in a list on the input.
ours() {
	sed -n "/^$prefix/p"
}
# Docker may be about to do what a command that was cut off has asked of it.
for again in 1 2 3 4 5 6 7 8 9 10; do
	containers=$(docker ps -a --format '{{.Names}}' | ours)
	volumes=$(docker volume ls -q | ours)
	networks=$(docker network ls --format '{{.Name}}' | ours)
	[ -n "$containers$volumes$networks" ] || break
	[ "$again" = 1 ] || sleep 1
	# Names hold no blanks.
	[ -z "$containers" ] || docker rm -f -v $containers
	[ -z "$volumes" ] || docker volume rm -f $volumes
	[ -z "$networks" ] || docker network rm $networks
done
[ -z "$folder" ] || rm -rf "$folder"
