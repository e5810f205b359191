# SPDX-License-Identifier: Apache-2.0
# Shared by `native` and `emulated`: unpack a Debian tree below BUILD/release, copy the sources into it, run commands in it.

cannot() {
	echo "test-release: $*" >&2
	[ "${MAY_SKIP:-}" = 1 ] || exit 1
	mkdir -p "$RESULTS"
	echo "0 0 1" >"$RESULTS/release"
	exit 0
}

need_namespaces() {
	[ "$(id -u)" = 0 ] || cannot "skipped: needs root to enter another tree"
	unshare --mount --pid --net --ipc --uts --fork true 2>/dev/null || cannot "skipped: namespaces are not available"
}

# unpack TAR: unpack it into $tree, which is removed at exit.
unpack() {
	mkdir -p "$BUILD/release"
	tree=$(realpath "$(mktemp -d "$BUILD/release/tree.XXXXXX")")
	trap 'rm -rf --one-file-system "$tree"' EXIT
	tar -xf "$1" -C "$tree" --exclude='./dev/*' --numeric-owner
	chmod 755 "$tree"
	cp -L /etc/resolv.conf /etc/hosts "$tree/etc/"
	find /etc/apt/apt.conf.d -name '*proxy*' -exec cp {} "$tree/etc/apt/apt.conf.d/" \;
}

# copy_sources PLACE: copy the files of a clone, with uncommitted changes.
copy_sources() {
	mkdir -p "$tree$1"
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -z --cached --others --exclude-standard
	else
		find . -path ./build -prune -o -type f -print0
	fi | tar -c --null --ignore-failed-read --files-from=- 2>/dev/null | tar -x -C "$tree$1" --no-same-owner
}

# inside [--offline] COMMAND...: run it in $tree with PIDs and mounts of its own; --offline leaves it only a loopback.
inside() {
	local net=
	if [ "$1" = --offline ]; then
		net=--net
		shift
	fi
	# shellcheck disable=SC2086 # an option or none
	unshare --mount --pid --fork --kill-child --ipc --uts $net sh -ec '
		tree=$1
		shift
		mount --bind "$tree" "$tree" # as a root that can be mounted anew, like that of a machine
		mount -t proc proc "$tree/proc"
		mount --rbind /sys "$tree/sys"
		mount --rbind /dev "$tree/dev"
		[ ! -e /proc/self/ns/net ] || ip link set lo up 2>/dev/null || true
		chroot "$tree" "$@"' enter "$tree" "$@" </dev/null
}
