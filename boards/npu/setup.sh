#!/bin/sh
# Sets up the Intel NPU compiler in FOLDER: setup.sh FOLDER. Run in the repository's root.
#
# Installs Debian packages: Wine and a C compiler for Windows (about 1 GB). Everything else stays in FOLDER: OpenVINO
# for Windows and Microsoft's C++ libraries, both from the Python package index, and our compile.exe.
set -eu
folder=$1
packages="wine64 gcc-mingw-w64-x86-64-win32"

# shellcheck disable=SC2086  # a list
if ! dpkg -s $packages >/dev/null 2>&1; then
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  echo "installing the Debian packages $packages"
  $as_root apt-get update -qq
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $packages >/dev/null
fi

libs=$folder/files/openvino/libs
if [ "$libs/compile.exe" -nt boards/npu/compile.c ] && [ "$libs/compile.exe" -nt constraints.txt ]; then
  exit 0
fi
rm -rf "$folder"
mkdir -p "$folder/wheels" "$folder/files"
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --platform win_amd64 --python-version 3.11 \
  --constraint constraints.txt --dest "$folder/wheels" openvino msvc-runtime
for wheel in "$folder"/wheels/*.whl; do
  "${PYTHON:-python3}" -m zipfile -e "$wheel" "$folder/files"
done
cp "$folder"/files/msvc_runtime-*.data/data/Scripts/*.dll "$libs"
x86_64-w64-mingw32-gcc -O1 -Wall -Werror -I "$folder/files/openvino/include" boards/npu/compile.c \
  -o "$libs/compile.exe" "$libs/openvino_c.lib"
