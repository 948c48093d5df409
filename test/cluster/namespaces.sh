# What keeps a cluster apart from the machine: a network, a mount and a process namespace. Everything of the cluster, containers included,
# descends from the process namespace's first process, so that the kernel ends all of it with that one, and the mounts with the last.

# CNI's and the kubelet's fixed folders, which each cluster gets anew.
HIDDEN=(/run /var/lib/cni /var/lib/kubelet /var/log/containers)
# What the kubelet sets for the whole machine, the reboot after a kernel's oops among them. It gets files instead.
TUNABLES=(vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)
# Tells a folder of a cluster from one that happens to have its name.
MARK=.penstock-cluster

in_network() {
	[ -e "/run/netns/$CLUSTER_NS" ] || die "there is no cluster $CLUSTER_NS"
	nsenter --net="/run/netns/$CLUSTER_NS" "$@"
}

# inside runs a command where the components run. It begins in /, and all namespaces are the cluster's.
inside() {
	local holder
	holder=$(cat "$CLUSTER_DIR/holder.pid")
	nsenter --net="/run/netns/$CLUSTER_NS" --mount="/proc/$holder/ns/mnt" --pid="/proc/$holder/ns/pid_for_children" "$@"
}

# booted tells whether the namespaces exist; the number alone might by now be another process'.
booted() {
	local holder
	holder=$(cat "$CLUSTER_DIR/holder.pid" 2>/dev/null) || return 1
	[ -e "$CLUSTER_DIR/booted" ] && [ "$(cat "/proc/$holder/comm" 2>/dev/null)" = unshare ] && [ "$(ip netns identify "$holder" 2>/dev/null)" = "$CLUSTER_NS" ]
}

boot() {
	check_paths
	mkdir -p "$CLUSTER_DIR"
	touch "$CLUSTER_DIR/$MARK"
	mkdir -p "$CLUSTER_DIR"/{run,log,cni,volume-plugins} "${HIDDEN[@]}"
	# Where they are no modules, or loaded, there is nothing to do.
	modprobe -qa overlay bridge br_netfilter nf_conntrack 2>/dev/null || true
	ip netns add "$CLUSTER_NS"
	setsid nsenter --net="/run/netns/$CLUSTER_NS" \
		unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$HERE/cluster" init \
		>"$CLUSTER_DIR/log/init.log" 2>&1 </dev/null 9>&- &
	echo $! >"$CLUSTER_DIR/holder.pid"
	await 20 "the cluster's namespaces exist" booted || { cat "$CLUSTER_DIR/log/init.log" >&2; exit 1; }
}

check_paths() {
	local dir path
	# The kubelet's sockets are below it, and the path of a socket has at most 107 bytes.
	[ ${#CLUSTER_DIR} -le 60 ] || die "cannot use CLUSTER_DIR $CLUSTER_DIR: it is ${#CLUSTER_DIR} bytes long and may be 60 at most"
	for path in "$CLUSTER_DIR" "$CLUSTER_BIN" "$HERE"; do
		[[ $path == /* ]] || die "cannot use $path: the path must be absolute"
		for dir in "${HIDDEN[@]}"; do
			[[ $path != "$dir"/* ]] || die "cannot use $path: the cluster hides what is below $dir from its components"
		done
	done
}

# init is the first process. It prepares the namespaces, and collects the processes that lost their parents, as bash does while it waits.
init() {
	local dir value
	# The kubelet and containerd show each other their mounts.
	mount --make-rshared /
	for dir in "${HIDDEN[@]}"; do mount -t tmpfs tmpfs "$dir"; done
	for value in "${TUNABLES[@]}"; do
		cat "/proc/sys/$value" >"/run/${value##*/}"
		mount --bind "/run/${value##*/}" "/proc/sys/$value"
	done
	ip link set lo up
	ip link add node0 type bridge
	ip address add "$NODE/24" dev node0
	ip link set node0 up
	# It leads nowhere, but without one the kubelet and kube-proxy know no address of the node.
	ip route add default dev node0
	echo 1 >/proc/sys/net/ipv4/ip_forward
	echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
	[ ! -e /proc/sys/net/bridge/bridge-nf-call-iptables ] || echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
	touch "$CLUSTER_DIR/booted"
	while true; do
		sleep infinity &
		wait $!
	done
}

# discard ends a cluster, or what is left of one, and removes all it made but empty folders.
discard() {
	[ ! -d "$CLUSTER_DIR" ] || [ -e "$CLUSTER_DIR/$MARK" ] || rmdir "$CLUSTER_DIR" 2>/dev/null ||
		die "cannot use the folder $CLUSTER_DIR: it is not empty and not a cluster's; set CLUSTER_DIR to another one"
	if [ -e "/run/netns/$CLUSTER_NS" ]; then
		[ "$(ip netns identify $$)" != "$CLUSTER_NS" ] || die "cannot end the cluster from within its network"
		# Commands of `cluster exec` are among them.
		signal_all KILL
		await 30 "the cluster's processes have ended" deserted
		ip netns delete "$CLUSTER_NS"
	fi
	# ip makes this mount with the first namespace.
	if mountpoint -q /run/netns && [ -z "$(ls -A /run/netns)" ]; then umount /run/netns && rmdir /run/netns; fi
	await 10 "the control groups of the cluster's containers are empty" remove_cgroups
	rm -rf "$CLUSTER_DIR"
}

signal_all() { local pids; pids=$(ip netns pids "$CLUSTER_NS"); [ -z "$pids" ] || kill -s "$1" $pids 2>/dev/null || true; }
# deserted also ends what was started while the others were being ended.
deserted() { [ -z "$(ip netns pids "$CLUSTER_NS")" ] || { signal_all KILL; return 1; }; }

# remove_cgroups removes what runc would have removed had the containers been ended one by one. containerd has them in one place for all
# clusters, so they go by the containers' names, of which it has folders.
remove_cgroups() {
	local container group left=0
	for container in "$CLUSTER_DIR"/containerd/io.containerd.grpc.v1.cri/{sandboxes,containers}/*; do
		# The first version of control groups has a hierarchy per controller, the second one is a single one.
		for group in /sys/fs/cgroup{,/*}/k8s.io/"${container##*/}"; do
			[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || left=1
		done
	done
	# Other clusters' containers keep it from going.
	rmdir /sys/fs/cgroup{,/*}/k8s.io 2>/dev/null || true
	return $left
}
