#!/usr/bin/env bash
# guest-toolchain.sh [DIR]: make a Rust toolchain that builds `wasm32-wasip2` components without rustup's own target.
#
# Debian's rustc-web 1.96 with a std built once from rust-web-src, wasi-libc's objects from the npm package @yowasp/clang, linkers from
# Debian (wasm-ld) and cargo (wasm-component-ld). DIR (default ~/.cache/coracle/guest-toolchain) is kept: a second call does nothing. Afterwards
#   RUSTC=DIR/bin/rustc cargo build --release --target wasm32-wasip2
# is the ordinary command of anyone who ran `rustup target add wasm32-wasip2`. Needs root for apt-get, npm, cargo; 3-4 idle minutes.
# Limit: wasi-libc here is the preview1 one, so a guest's `std::net` does not link; use wasi:http and wasi:sockets bindings.
set -euo pipefail
dir=$(realpath -m "${1:-$HOME/.cache/coracle/guest-toolchain}")
target=wasm32-wasip2
if [ -e "$dir/ready" ]; then echo "guest toolchain ready: $dir"; exit 0; fi
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mkdir -p "$dir/bin" "$dir/lib/rustlib/$target/lib/self-contained"

echo "guest toolchain: Debian packages"
apt-get update -qq && apt-get install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src lld-22 >/dev/null

echo "guest toolchain: wasi-libc objects"
(cd "$work" && npm pack --silent @yowasp/clang@22.0.0-git20542-10 >/dev/null && tar xzf yowasp-clang-*.tgz &&
  tar xf package/gen/llvm-resources.tar lib/wasm32-wasip1)
cp "$work"/lib/wasm32-wasip1/{crt1-command.o,crt1-reactor.o,libc.a} "$dir/lib/rustlib/$target/lib/self-contained/"

echo "guest toolchain: wasm-component-ld"
host=$dir/lib/rustlib/x86_64-unknown-linux-gnu; mkdir -p "$host/bin"
cargo install --quiet wasm-component-ld --version 0.5.31 --locked --root "$work/tools"
cp "$work/tools/bin/wasm-component-ld" "$host/bin/"        # rustc puts this folder on the linker's PATH
ln -sfn /usr/lib/llvm-22/bin/wasm-ld "$host/bin/wasm-ld"
ln -sfn /usr/lib/rustlib/x86_64-unknown-linux-gnu/lib "$host/lib"

echo "guest toolchain: std for $target"
mkdir -p "$work/std/src"; : > "$work/std/src/lib.rs"
printf '[package]\nname="mkstd"\nversion="0.0.0"\nedition="2021"\n[workspace]\n[profile.release]\ndebug=false\npanic="abort"\n' > "$work/std/Cargo.toml"
(cd "$work/std" && RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" RUSTFLAGS="-Cembed-bitcode=yes" \
  /usr/bin/cargo build --quiet -Zbuild-std=std,panic_abort --target "$target" --release)
cp "$work/target/$target/release/deps/"*.rlib "$dir/lib/rustlib/$target/lib/"; rm -f "$dir/lib/rustlib/$target/lib/"libmkstd*
ln -sfn /usr/lib/rustlib/src "$dir/lib/rustlib/src"
printf '#!/bin/sh\nexec /usr/bin/rustc --sysroot "%s" "$@"\n' "$dir" > "$dir/bin/rustc"; chmod +x "$dir/bin/rustc"
ln -sfn /usr/bin/cargo "$dir/bin/cargo"
touch "$dir/ready"; echo "guest toolchain ready: $dir"
