#!/bin/sh
# Sets up an emulated 64-bit Arm board in FOLDER: setup.sh FOLDER. Run in the repository's root, on Debian 12.
#
# Installs Debian packages: QEMU, mmdebstrap, a C compiler (about 200 MB). Everything else stays in FOLDER, and is made
# again only when its sources change:
#   root            Python 3.11 and the C++ libraries of a Debian for Arm
#   base            tinydet's wheel with its dependencies: the base install
#   extras          the same with the extras onnxruntime, openvino and tflite
#   tflite-runtime  the runtime that 32-bit boards get instead of ai-edge-litert; used together with base
#   count_instructions.so  QEMU's counting plugin
set -eu
folder=$1
packages="qemu-user mmdebstrap debian-archive-keyring gcc libc6-dev"
python=${PYTHON:-python3}
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo

# shellcheck disable=SC2086  # a list
if ! dpkg -s $packages >/dev/null 2>&1; then
  echo "installing the Debian packages $packages"
  $as_root apt-get -o Acquire::Retries=5 update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 \
    install -qq -y --no-install-recommends $packages >/dev/null
fi

mkdir -p "$folder"
gcc -O2 -Wall -Wextra -Werror -shared -fPIC boards/arm/count_instructions.c \
  -o "$folder/count_instructions.so"

arm_pip_install() { # TARGET ARGUMENT...: installs the wheels for a board with Python 3.11 and Debian 12's C library
  target=$1
  shift
  "$python" -m pip install -qq --disable-pip-version-check --upgrade --no-compile --only-binary :all: \
    --python-version 3.11 --implementation cp --platform manylinux2014_aarch64 \
    --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 --platform manylinux_2_31_aarch64 \
    --platform manylinux_2_34_aarch64 --platform manylinux_2_35_aarch64 \
    --constraint constraints.txt --target "$target" "$@"
}

rm -rf "$folder/wheel"
"$python" -m pip wheel -q --no-deps --wheel-dir "$folder/wheel" .
wheel=$(echo "$folder"/wheel/*.whl)
made_from=$(cat pyproject.toml constraints.txt boards/arm/setup.sh | sha256sum)
if [ "$(cat "$folder/made_from" 2>/dev/null)" != "$made_from" ]; then
  echo "making the emulated board in $folder: a minute or two"
  $as_root rm -rf "$folder/made_from" "$folder/root" "$folder/base" "$folder/extras" "$folder/tflite-runtime"
  $as_root mmdebstrap --quiet --variant=extract --architectures=arm64 --aptopt='Acquire::Retries "5"' \
    --include=python3.11-minimal,libpython3.11-stdlib,libstdc++6,libgomp1 bookworm "$folder/root"
  $as_root chown -R "$(id -u)" "$folder/root"
  arm_pip_install "$folder/base" "$wheel"
  arm_pip_install "$folder/extras" "$wheel[onnxruntime,openvino,tflite]"
  arm_pip_install "$folder/tflite-runtime" tflite-runtime
  echo "$made_from" >"$folder/made_from"
else
  arm_pip_install "$folder/base" --no-deps "$wheel"
  arm_pip_install "$folder/extras" --no-deps "$wheel"
fi
