# The cluster's components: how each is started, when it is ready, and how it is stopped. Their settings come from the environment at each
# start: FEATURE_GATES for all, APISERVER_ARGS, CONTROLLER_ARGS, SCHEDULER_ARGS, KUBELET_ARGS and PROXY_ARGS for one, and
# HPA_SYNC and HPA_DOWN, which are how often the autoscaler looks and for how long it does not scale down.

COMPONENTS=(etcd apiserver controller-manager scheduler containerd kubelet proxy dns)

# command_of sets the array argv.
command_of() {
	local pki=$CLUSTER_DIR/pki gates=()
	[ -z "${FEATURE_GATES:-}" ] || gates=("--feature-gates=$FEATURE_GATES")
	case $1 in
	etcd)
		# Its data need not outlive the machine's power.
		argv=("$CLUSTER_BIN/etcd" --data-dir="$CLUSTER_DIR/etcd" --unsafe-no-fsync
			--listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379) ;;
	apiserver)
		argv=("$CLUSTER_BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address=$NODE --secure-port=6443
			--tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt"
			--service-account-key-file="$pki/tokens.pub" --service-account-signing-key-file="$pki/tokens.key"
			--service-account-issuer=https://kubernetes.default.svc --authorization-mode=Node,RBAC
			--service-cluster-ip-range=$SERVICES --allow-privileged=true
			--requestheader-client-ca-file="$pki/ca.crt" --requestheader-allowed-names=front-proxy-client
			--requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group
			--requestheader-username-headers=X-Remote-User --proxy-client-cert-file="$pki/front-proxy.crt"
			--proxy-client-key-file="$pki/front-proxy.key" --enable-aggregator-routing=true
			--kubelet-preferred-address-types=InternalIP --kubelet-client-certificate="$pki/admin.crt"
			--kubelet-client-key="$pki/admin.key" "${gates[@]}" ${APISERVER_ARGS:-}) ;;
	controller-manager)
		local config=$pki/controller-manager.kubeconfig
		# The node never counts as lost: it would for half a minute after the API server was away for one.
		argv=("$CLUSTER_BIN/kube-controller-manager" --kubeconfig="$config" --authentication-kubeconfig="$config"
			--authorization-kubeconfig="$config" --service-account-private-key-file="$pki/tokens.key" --root-ca-file="$pki/ca.crt"
			--use-service-account-credentials=true --allocate-node-cidrs=true --cluster-cidr=$PODS --node-cidr-mask-size=24
			--cluster-signing-cert-file="$pki/ca.crt" --cluster-signing-key-file="$pki/ca.key" --leader-elect=false --node-monitor-grace-period=24h
			--horizontal-pod-autoscaler-sync-period="${HPA_SYNC:-5s}"
			--horizontal-pod-autoscaler-downscale-stabilization="${HPA_DOWN:-30s}" "${gates[@]}" ${CONTROLLER_ARGS:-}) ;;
	scheduler)
		argv=("$CLUSTER_BIN/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false "${gates[@]}" ${SCHEDULER_ARGS:-}) ;;
	containerd)
		argv=(containerd --config="$CLUSTER_DIR/containerd.toml") ;;
	kubelet)
		argv=("$CLUSTER_BIN/kubelet" --config="$CLUSTER_DIR/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" --hostname-override=node0
			--node-ip=$NODE --root-dir="$CLUSTER_DIR/kubelet" --cert-dir="$pki" "${gates[@]}" ${KUBELET_ARGS:-}) ;;
	proxy)
		# How many connections the kernel may track is a setting of the whole machine.
		argv=("$CLUSTER_BIN/kube-proxy" --kubeconfig="$pki/proxy.kubeconfig" --proxy-mode=iptables --cluster-cidr=$PODS
			--hostname-override=node0 --conntrack-max-per-core=0 "${gates[@]}" ${PROXY_ARGS:-}) ;;
	dns)
		argv=("$CLUSTER_BIN/coredns" -conf "$CLUSTER_DIR/Corefile") ;;
	esac
	argv[0]=$(readlink -f "$(command -v "${argv[0]}")")
}

# answers tells whether a component does its work.
answers() {
	case $1 in
	etcd) get http://127.0.0.1:2379/health ;;
	apiserver) kubectl get --raw /readyz ;;
	# It says that it is healthy before it has controllers, and while it makes them it does not survive the loss of the API server.
	controller-manager) get 'https://127.0.0.1:10257/healthz?verbose' | grep -F 'deployment-controller ok' ;;
	scheduler) get https://127.0.0.1:10259/healthz ;;
	containerd) inside ctr version ;;
	kubelet) get http://127.0.0.1:10248/healthz ;;
	proxy) get http://127.0.0.1:10256/healthz ;;
	dns) get http://127.0.0.1:8181/ready ;;
	esac
}

get() { in_network curl --silent --fail --insecure --noproxy '*' --max-time 2 "$1"; }

# configure writes the files that components read. It changes none that is there, as certificates must not change under those who use them.
configure() {
	[ ! -e "$CLUSTER_DIR/pki" ] || return 0
	cat >"$CLUSTER_DIR/cni/10-bridge.conflist" <<-Y
		{"cniVersion": "0.4.0", "name": "pods", "plugins": [
		  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
		   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	Y
	cat >"$CLUSTER_DIR/containerd.toml" <<-Y
		version = 2
		root = "$CLUSTER_DIR/containerd"
		[plugins."io.containerd.internal.v1.opt"]
		  path = "$CLUSTER_DIR/containerd-opt"
		[plugins."io.containerd.grpc.v1.cri"]
		  sandbox_image = "localhost/pause:1"
		  restrict_oom_score_adj = true
		  [plugins."io.containerd.grpc.v1.cri".cni]
		    bin_dir = "/usr/lib/cni"
		    conf_dir = "$CLUSTER_DIR/cni"
	Y
	# Without cgroupsPerQOS, pods' limits hold for their containers, and need no controllers that a machine may lack.
	cat >"$CLUSTER_DIR/kubelet.yaml" <<-Y
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		failCgroupV1: false
		cgroupDriver: cgroupfs
		cgroupsPerQOS: false
		enforceNodeAllocatable: []
		authentication: {x509: {clientCAFile: $CLUSTER_DIR/pki/ca.crt}, anonymous: {enabled: false}, webhook: {enabled: false}}
		authorization: {mode: AlwaysAllow}
		tlsCertFile: $CLUSTER_DIR/pki/kubelet.crt
		tlsPrivateKeyFile: $CLUSTER_DIR/pki/kubelet.key
		clusterDNS: [$NODE]
		clusterDomain: cluster.local
		resolvConf: ""
		podLogsDir: $CLUSTER_DIR/log/pods
		volumePluginDir: $CLUSTER_DIR/volume-plugins
		maxPods: 200
		failSwapOn: false
		localStorageCapacityIsolation: false
		evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
		imageGCHighThresholdPercent: 100
		imageGCLowThresholdPercent: 99
	Y
	cat >"$CLUSTER_DIR/Corefile" <<-Y
		. {
		    bind $NODE
		    errors
		    ready 127.0.0.1:8181
		    kubernetes cluster.local in-addr.arpa {
		        kubeconfig $CLUSTER_DIR/pki/dns.kubeconfig
		    }
		}
	Y
	rm -rf "$CLUSTER_DIR/pki.new"
	go run -C "$HERE" ./pki -node $NODE -service $KUBERNETES "$CLUSTER_DIR/pki.new"
	cp "$CLUSTER_DIR/pki.new/admin.kubeconfig" "$CLUSTER_DIR/admin.kubeconfig"
	mv "$CLUSTER_DIR/pki.new" "$CLUSTER_DIR/pki"
}

# run starts those of the named components that do not run, and waits until all answer.
run() {
	local name
	for name in "$@"; do alive "$name" || launch "$name"; done
	for name in "$@"; do
		await 60 "$name is ready" answers_or_died "$name" && alive "$name" && continue
		echo "cluster: $name did not start; the end of $CLUSTER_DIR/log/$name.log:" >&2
		tail -n 20 "$CLUSTER_DIR/log/$name.log" >&2
		return 1
	done
}

answers_or_died() { answers "$1" || ! alive "$1"; }

# launch leaves the number that the process has among the cluster's. Children of shells that end belong to init.
launch() {
	local argv
	command_of "$1"
	inside bash -c 'pid=$1 log=$2; shift 2; setsid "$@" >>"$log" 2>&1 </dev/null & echo $! >"$pid"' launch \
		"$CLUSTER_DIR/run/$1.pid" "$CLUSTER_DIR/log/$1.log" "${argv[@]}" 9>&-
}

# alive looks at what the process runs, too, as numbers are given out anew.
alive() {
	local argv
	[ -s "$CLUSTER_DIR/run/$1.pid" ] || return 1
	command_of "$1"
	[ "$(inside readlink "/proc/$(cat "$CLUSTER_DIR/run/$1.pid")/exe")" = "${argv[0]}" ]
}

dead() { ! alive "$1"; }

# halt gives a component a moment. The API server would let watches run on for a minute, in which it is neither there nor away.
halt() {
	local pid
	alive "$1" || return 0
	pid=$(cat "$CLUSTER_DIR/run/$1.pid")
	inside kill -s TERM "$pid"
	await 3 "$1 has ended by itself" dead "$1" 2>/dev/null && return 0
	inside kill -s KILL "$pid"
	await 10 "$1 has ended" dead "$1"
}
