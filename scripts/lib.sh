# shellcheck shell=bash
# What the scripts share: messages, and installing what is missing.

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Installs Debian or Ubuntu packages that are missing.
need_packages() {
  local missing=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" -eq 0 ] || die "cannot install ${missing[*]}: run as root"
  command -v apt-get >/dev/null || die "cannot install ${missing[*]}: this is neither Debian nor Ubuntu"
  say "installing ${missing[*]}"
  # Debian's package would make and start a cluster of its own.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.conf
  fi
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } \
    >/tmp/postgresql-k8s-apt.log 2>&1 || die "apt-get failed, see /tmp/postgresql-k8s-apt.log"
}

# Makes sure that there is a cargo, of the version that rust-toolchain.toml names.
need_cargo() {
  # shellcheck source=/dev/null
  [ -e "$HOME/.cargo/env" ] && . "$HOME/.cargo/env"
  if ! command -v cargo >/dev/null; then
    need_packages curl ca-certificates
    say "installing rustup"
    curl -sSf https://sh.rustup.rs | sh -s -- -qy --profile minimal --default-toolchain none ||
      die "rustup cannot be installed"
    # shellcheck source=/dev/null
    . "$HOME/.cargo/env"
  fi
  cargo --version >/dev/null 2>&1 && return
  say "installing Rust's toolchain by rustup"
  rustup toolchain install >/dev/null || die "Rust's toolchain cannot be installed"
}

# What running the local model takes.
need_local_model() {
  [ "$(id -u)" -eq 0 ] || die "the local model makes network namespaces and mounts: run as root"
  need_packages build-essential pkg-config binutils python3 iproute2 nftables util-linux \
    postgresql postgresql-client patroni pgbackrest
}

# An image, in this folder, that lays pgaudit for the machine's PostgreSQL over it: installed, it would
# audit in every scenario.
pgaudit_image() {
  local image=$1 major download
  [ -d "$image/usr" ] && return
  major=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
  download=$(mktemp -d)
  (cd "$download" && apt-get download "postgresql-$major-pgaudit" && dpkg -x ./*.deb image) >/dev/null 2>&1 &&
    chmod 0755 "$download/image" && mv "$download/image" "$image"
  local done=$?
  rm -rf "$download"
  return "$done"
}
