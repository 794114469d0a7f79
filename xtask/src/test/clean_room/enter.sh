# Makes the room in fresh namespaces and runs the commands in it: nothing of it is seen outside, and nothing stays.
set -eu
umask 022
mount --make-rprivate /
room=$SCRATCH/room

# overlay LOWER NAME PLACE: what is written at PLACE goes to the scratch folder
overlay() {
    mkdir -p "$SCRATCH/$2/upper" "$SCRATCH/$2/work" "$3"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$SCRATCH/$2/upper,workdir=$SCRATCH/$2/work" "$3"
}

overlay "$BASE" root "$room"
mount -t proc proc "$room/proc"
mount -t sysfs sysfs "$room/sys"
mount --rbind /dev "$room/dev"
mount -t tmpfs tmpfs "$room/run"
mount --bind "$ARCHIVES" "$room/var/cache/apt/archives"
overlay "$CARGO_HOME" cargo "$room$CARGO_HOME"
overlay "$RUSTUP_HOME" rustup "$room$RUSTUP_HOME"
overlay "$CHECKOUT" checkout "$room$PLACE"
[ "$TARGET" = "$CHECKOUT/target" ] || overlay "$TARGET" target "$room$PLACE/target"

echo "Acquire::http::Proxy \"$PROXY\"; Acquire::https::Proxy \"$PROXY\";" > "$room/etc/apt/apt.conf.d/99proxy"
# Files that are gone with the room need not reach a disk.
echo force-unsafe-io > "$room/etc/dpkg/dpkg.cfg.d/room"
cd "$room/var/lib/apt/lists"
case $LISTS in
stale)
    # As on an image of months ago: files that mirrors have no more, a compiler that is too old.
    for file in *_Packages; do
        sed -i -e 's/^Filename: .*/Filename: pool\/gone.deb/' \
            -e '/^Package: rust.*web/,/^$/ s/^Version: .*/Version: 1.85.0/' "$file"
    done
    # Else apt takes them for the newest: it asks only for what is younger than the file, and compares the sums.
    for file in *Release; do
        sed -i -E 's/[0-9a-f]{64}/0000000000000000000000000000000000000000000000000000000000000000/' "$file"
        touch -d 2025-01-01 "$file"
    done
    ;;
none) rm -rf ./* ;;
esac

cd "$room"
exec chroot "$room" env -i HOME=/root TERM=dumb PATH="$CARGO_HOME/bin:/usr/local/bin:/usr/bin:/bin" \
    CARGO_HOME="$CARGO_HOME" RUSTUP_HOME="$RUSTUP_HOME" CARGO_HTTP_PROXY="$PROXY" npm_config_https_proxy="$PROXY" \
    /bin/sh -c 'set -e; umask 077; cd "$1"; shift; for command; do echo "\$ $command"; sh -c "$command"; done' \
    sh "$PLACE" "$@"
