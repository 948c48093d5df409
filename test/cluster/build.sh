# What the cluster runs: Debian's containerd and network tools, and binaries built from Go modules into CLUSTER_BIN.

KUBERNETES_BINARIES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

# tools installs what is missing of the machine's tools.
tools() {
	local tool missing=()
	for tool in containerd:containerd runc:runc /usr/lib/cni/bridge:containernetworking-plugins ip:iproute2 iptables:iptables \
		conntrack:conntrack curl:curl; do
		command -v "${tool%:*}" >/dev/null || missing+=("${tool#*:}")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "cannot go on without these packages, named as Debian does: ${missing[*]}"
	[ "$EUID" -eq 0 ] || die "cannot install these packages: this needs root: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# build makes what is missing, of all binaries or of those named.
build() (
	[ $# -gt 0 ] || set -- pause etcd coredns "${KUBERNETES_BINARIES[@]}"
	mkdir -p "$CLUSTER_BIN"
	src=
	trap 'rm -rf "$src" "$CLUSTER_BIN"/.*."$BASHPID"' EXIT
	for binary in "$@"; do
		[ ! -x "$CLUSTER_BIN/$binary" ] || continue
		[ -n "$src" ] || src=$(mktemp -d)
		echo "cluster: building $binary" >&2
		build_one "$binary"
	done
)

# build_one gives a binary its name only when it is whole. Modules are made for what is not ours, so that no module of this project
# depends on it.
build_one() {
	local dir=$src/$1 package mod=(-mod=mod) flags=
	mkdir "$dir"
	case $1 in
	pause) dir=$HERE package=./pause mod=() ;;
	etcd)
		package=go.etcd.io/etcd/server/v3
		module "$package v$ETCD" >"$dir/go.mod"
		;;
	coredns)
		package=.
		module "github.com/coredns/coredns v$COREDNS" >"$dir/go.mod"
		dns_server >"$dir/main.go"
		;;
	*)
		grep -qxF "$1" < <(printf '%s\n' "${KUBERNETES_BINARIES[@]}") || die "cannot build $1: it is none of pause etcd coredns ${KUBERNETES_BINARIES[*]}"
		package=k8s.io/kubernetes/cmd/$1
		flags=$(kubernetes_version)
		kubernetes_module >"$dir/go.mod"
		;;
	esac
	local whole=$CLUSTER_BIN/.$1.$BASHPID
	CGO_ENABLED=0 go build -C "$dir" "${mod[@]}" -trimpath -buildvcs=false -ldflags="-s -w $flags" -o "$whole" "$package"
	mv "$whole" "$CLUSTER_BIN/$1"
}

module() { printf 'module cluster\n\ngo 1.26.0\n\nrequire %s\n' "$1"; }

# kubernetes_module requires, in their published versions, the modules that Kubernetes keeps in a folder of its own repository.
kubernetes_module() {
	local published=v0.${K8S#*.} source
	module "k8s.io/kubernetes v$K8S"
	source=$(cd "$src" && GOFLAGS=-mod=mod go mod download -json "k8s.io/kubernetes@v$K8S" | sed -n 's/^\t"GoMod": "\(.*\)",$/\1/p')
	sed -nE "s#^\s*(replace )?(k8s\.io/\S+) => \./staging/.*#replace \2 => \2 $published#p" "$source"
}

kubernetes_version() {
	local package=k8s.io/component-base/version minor=${K8S#*.}
	echo "-X $package.gitVersion=v$K8S -X $package.gitMajor=${K8S%%.*} -X $package.gitMinor=${minor%.*}"
}

# dns_server is CoreDNS with the few plugins that a cluster needs: all of them would bring every cloud's client.
dns_server() {
	cat <<-G
		package main

		import (
			"github.com/coredns/coredns/coremain"
			_ "github.com/coredns/coredns/plugin/bind"
			_ "github.com/coredns/coredns/plugin/errors"
			_ "github.com/coredns/coredns/plugin/kubernetes"
			_ "github.com/coredns/coredns/plugin/ready"
		)

		func main() { coremain.Run() }
	G
}
