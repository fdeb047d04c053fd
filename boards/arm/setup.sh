#!/bin/sh
# Sets up an emulated 64-bit Arm board in FOLDER: setup.sh FOLDER. Run in the repository's root, on Debian 12.
#
# Installs Debian packages: QEMU, mmdebstrap, a C compiler (about 200 MB). Everything else stays in FOLDER: a Debian for
# Arm with Python 3.11, tinydet's base install, each runtime in a folder of its own, and QEMU's counting plugin.
set -eu
folder=$1
packages="qemu-user mmdebstrap debian-archive-keyring gcc libc6-dev"
runtimes="onnxruntime openvino ai-edge-litert tflite-runtime"
python=${PYTHON:-python3}
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

# shellcheck disable=SC2086  # a list
if ! dpkg -s $packages >/dev/null 2>&1; then
  echo "installing the Debian packages $packages"
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
fi

mkdir -p "$folder"
gcc -O2 -Wall -Wextra -Werror -shared -fPIC boards/arm/count.c -o "$folder/count.so"

if [ ! -x "$folder/root/usr/bin/python3.11" ]; then
  $as_root rm -rf "$folder/root"
  $as_root mmdebstrap --quiet --variant=extract --architectures=arm64 \
    --include=python3.11-minimal,libpython3.11-stdlib,libstdc++6,libgomp1 bookworm "$folder/root"
  $as_root chown -R "$(id -u)" "$folder/root"
fi

arm_pip_install() { # TARGET REQUIREMENT: the wheels that a 64-bit Arm board with Python 3.11 would choose
  "$python" -m pip install -qq --upgrade --no-compile --only-binary :all: --python-version 3.11 --implementation cp \
    --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 \
    --platform manylinux_2_31_aarch64 --constraint constraints.txt --target "$1" "$2"
}

for runtime in $runtimes; do
  [ -d "$folder/$runtime" ] || arm_pip_install "$folder/$runtime" "$runtime"
done
rm -rf "$folder/base" "$folder/wheel"
"$python" -m pip wheel -q --no-deps --wheel-dir "$folder/wheel" .
arm_pip_install "$folder/base" "$folder"/wheel/*.whl
